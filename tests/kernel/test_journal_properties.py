"""The journal against a model, killed at any byte and on a full disk; its parser against any damage."""

import os
import resource
import tempfile
from collections.abc import Iterable
from copy import deepcopy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from framework import journal
from framework.errors import ResourceUnavailableError
from framework.identity import Owner
from framework.journal import Content, Journal, Target
from framework.journal import format as records
from framework.lease import Lease
from framework.records import Recovery

text = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=20)
paths = st.text(st.characters(exclude_characters="\0/", exclude_categories=()), min_size=3, max_size=20).map(
    "/{}".format
)
targets = st.builds(
    Target, st.sampled_from(Recovery), paths, st.sampled_from(["", "inode:1:2", "mark:x"]), st.booleans()
)
leases = st.builds(Lease, text, text, text, st.integers(0, 2**64 - 1))

Model = dict[int, tuple[list[Target], bool]]


def told(content: Content) -> Model:
    """Return what a journal says, as the model has it."""
    return {entry.id: (entry.targets, entry.held) for entry in content.entries.values()}


class JournalMachine(RuleBasedStateMachine):
    """Intends, holds and releases in any order, and looks at what a process that died just now would have left."""

    opened: Bundle[Lease] = Bundle("opened")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.journal = Journal(self.folder.name)
        self.model: Model = {}
        self.history: list[tuple[int, Model]] = []
        self.remember(anew=True)

    def remember(self, *, anew: bool = False) -> None:
        """Note what is to be read from a file of so many bytes."""
        if anew:
            self.history = []
        self.history.append((os.path.getsize(self.journal.path), deepcopy(self.model)))

    @rule(target=opened, lease=leases)
    def open(self, lease: Lease) -> Lease:
        return lease

    @rule(lease=opened, target_=targets)
    def intend(self, lease: Lease, target_: Target) -> None:
        self.journal.intend(lease, target_)
        self.model.setdefault(lease.id, ([], False))[0].append(target_)
        self.remember()

    @rule(lease=opened)
    def hold(self, lease: Lease) -> None:
        self.journal.hold(lease.id)
        if lease.id in self.model:
            self.model[lease.id] = (self.model[lease.id][0], True)
            self.remember()

    @rule(lease=opened)
    def release(self, lease: Lease) -> None:
        self.journal.release(lease.id)
        if self.model.pop(lease.id, None) is not None:
            self.remember()

    @rule()
    def write_anew(self) -> None:
        self.journal._compact()
        self.remember(anew=True)

    @rule()
    def take_the_file_away(self) -> None:
        os.unlink(self.journal.path)
        self.journal.repair()
        self.remember(anew=True)

    @rule(lease=opened, target_=targets, room=st.integers(0, 60))
    def intend_on_a_full_disk(self, lease: Lease, target_: Target, room: int) -> None:
        size = os.path.getsize(self.journal.path)
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        room = min(room, len(records.intent(lease, target_)) - 1)  # a short one would fit
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, former[1]))
        try:
            with pytest.raises(ResourceUnavailableError, match="is not created, because the journal"):
                self.journal.intend(lease, target_)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)
        assert os.path.getsize(self.journal.path) == size

    @rule(share=st.floats(0, 1))
    def die_in_the_middle_of_a_write(self, share: float) -> None:
        raw = self.raw()
        start = self.history[0][0]
        cut = start + round(share * (len(raw) - start))
        content = journal.parse(raw[:cut])
        expected = [model for size, model in self.history if size <= cut][-1]
        assert told(content) == expected
        assert content.owner == self.journal.owner
        assert not content.damaged
        assert content.valid_bytes == max(size for size, _ in self.history if size <= cut)

    @invariant()
    def the_file_says_what_the_model_says(self) -> None:
        content = journal.parse(self.raw())
        assert told(content) == self.model
        assert told(journal.parse(self.journal.content())) == self.model

    def raw(self) -> bytes:
        with open(self.journal.path, "rb") as file:
            return file.read()

    def teardown(self) -> None:
        self.journal.close(remove=True)
        assert (os.listdir(self.folder.name) == []) == (not self.model)
        self.folder.cleanup()


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=60, stateful_step_count=30)


# the parser

OWNER = Owner.this()
HEADER = records.header(OWNER)

ops = st.one_of(
    st.tuples(st.just("intend"), leases, targets),
    st.tuples(st.sampled_from(["hold", "release", "tried"]), st.integers(0, 30), st.none()),
)


def written(script: Iterable[tuple[str, Lease | int, Target | None]]) -> list[bytes]:
    """Return the records of a script, in which numbers stand for leases that were intended before."""
    out: list[bytes] = []
    ids: list[int] = []
    for op, lease, target in script:
        if isinstance(lease, Lease):
            assert target is not None
            ids.append(lease.id)
            out.append(records.intent(lease, target))
        elif ids:
            number = ids[lease % len(ids)]
            kind = {"hold": records.HOLD, "release": records.RELEASE, "tried": records.TRIED}[op]
            out.append(records.record(kind, number, "it was stuck" if op == "tried" else ""))
    return out


scripts = st.lists(ops, max_size=25).map(written)


def same(content: Content, parts: Iterable[bytes]) -> None:
    """Hold that content is what whole records say."""
    expected = journal.parse(HEADER + b"".join(parts))
    assert not expected.damaged
    assert content.entries == expected.entries
    assert content.owner == OWNER


@given(scripts, st.data())
def test_all_records_but_the_damaged_ones_are_found(parts: list[bytes], data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, len(parts) - 1), max_size=3)) if parts else set()
    spoilt = [
        _spoilt(part, data.draw(st.integers(0, 8 * len(part) - 1))) if number in bad else part
        for number, part in enumerate(parts)
    ]
    content = journal.parse(HEADER + b"".join(spoilt))
    same(content, (part for number, part in enumerate(parts) if number not in bad))


def _spoilt(part: bytes, bit: int) -> bytes:
    """Return a record with one bit turned."""
    changed = bytearray(part)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(scripts, st.floats(0, 1), st.integers(1, 300))
def test_what_is_filled_with_zeros_hides_nothing_else(parts: list[bytes], share: float, length: int) -> None:
    raw = bytearray(HEADER + b"".join(parts))
    start = len(HEADER) + round(share * (len(raw) - len(HEADER)))
    end = min(len(raw), start + length)
    before = bytes(raw)
    raw[start:end] = bytes(end - start)
    position, whole = len(HEADER), []
    for part in parts:
        if before[position : position + len(part)] == bytes(raw[position : position + len(part)]):
            whole.append(part)
        position += len(part)
    same(journal.parse(bytes(raw)), whole)


@given(scripts, st.data())
def test_garbage_between_records_hides_none(parts: list[bytes], data: st.DataObject) -> None:
    garbage = st.one_of(st.binary(max_size=60), st.integers(0, 5000).map(bytes))
    mixed = [piece for part in parts for piece in (data.draw(garbage), part)]
    same(journal.parse(HEADER + b"".join(mixed)), parts)


@given(st.binary(max_size=400))
@example(b"")
@example(records.MAGIC)
@example(records.MAGIC + bytes(1 << 22))
@example(HEADER + b"\xff" * (1 << 22))
@example(HEADER + (b"\xff\xff\x00\x00\x00\x00\x02\x00\x00" * (1 << 13)))
@example(HEADER * 3)
def test_whatever_the_file_holds_nothing_is_invented_and_nothing_raised(raw: bytes) -> None:
    for content in (journal.parse(raw), journal.parse(HEADER + raw), journal.parse(records.MAGIC + raw)):
        assert content.entries == {}
    assert journal.parse(HEADER + raw).owner == OWNER


@given(st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=80))
def test_a_record_that_is_right_by_its_checksum_only_does_no_harm(op: int, lease: int, rest: bytes) -> None:
    odd = records._framed(records._HEAD.pack(op, lease) + rest)
    known = Lease("kind.x", "", "me", 0)
    intent = records.intent(known, Target(Recovery.UNLINK, "/x"))
    content = journal.parse(HEADER + odd + intent)
    assert known.id in content.entries
    assert all(target.path == "/x" for target in content.entries[known.id].targets)


@given(scripts)
def test_a_header_that_is_damaged_tells_nobody(parts: list[bytes]) -> None:
    raw = bytearray(HEADER + b"".join(parts))
    raw[len(records.MAGIC) + 20] ^= 1
    content = journal.parse(bytes(raw))
    assert content.owner is None
    assert content.damaged
