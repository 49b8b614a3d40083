"""What is damaged is named, and never taken for what it is not; what a kill tears is dropped."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_pool import ResourcePool, StateError
from plugin_pool.keeping import session
from plugin_pool.keeping.directory import StateDirectory
from plugin_pool.keeping.framing import framed, parsed, scan
from plugin_pool.keeping.kept import KeptPool
from plugin_pool.keeping.recovery import Recovery
from plugin_pool.keeping.state import State

JOURNAL, SNAPSHOT = "journal-00000002", "snapshot-00000002"


def seen(state: State) -> object:
    """Return what a state says, without where it comes from."""
    leases = [
        (one.epoch, one.task_id, one.since, one.ids, one.usage, one.ttl, one.ends) for one in state.leases.values()
    ]
    entities = {(name, one.type, one.capacity, state.names.get(name)) for name, one in state.where.items()}
    services = {name: service for name, service in state.services.items() if service}
    return leases, entities, services, state.configured


def read(path: Path, *, salvage: bool = False) -> Recovery:
    directory = StateDirectory(path)
    try:
        return Recovery(directory, salvage=salvage)
    finally:
        directory.close()


class Kept:
    """A directory with a snapshot and a journal, and what was true after each record of the journal."""

    def __init__(self, path: Path, *, closed: bool) -> None:
        self.path = path
        pool = ResourcePool.open(path)
        for number in range(3):
            pool.add_resource({"id": f"e{number}", "type": "t", "name": "shown" if number else None})
        pool.allocate_resources("first", {"type": "t"}, ttl=100)
        pool._keeper.renew()
        pool.add_resource({"id": "more", "type": "u", "capacity": 2})
        pool.allocate_resources("second", {"type": "u"})
        pool.mark_executing("first")
        pool.release_resources("first", "failed")
        pool.allocate_resources("third", [{"type": "t"}, {"type": "u"}])
        pool.note_configured({"e0"})
        if closed:
            pool.close()
        else:
            pool._expiry.close()
            pool._keeper.let_go()
        self.raw = (path / JOURNAL).read_bytes().rstrip(b"\0")
        ends = [place + 1 for place, one in enumerate(self.raw) if one == ord("\n")]
        self.ends = [0, *ends]
        self.truth = seen(read(path).state)

    def truth_until(self, end: int, tmp_path: Path) -> object:
        return seen(self.with_journal(self.raw[:end], tmp_path).state)

    def with_journal(self, raw: bytes, tmp_path: Path, **parameters: Any) -> Recovery:
        copied(self.path, tmp_path / "copy")
        (tmp_path / "copy" / JOURNAL).write_bytes(raw)
        return read(tmp_path / "copy", **parameters)


def copied(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


@pytest.fixture(params=[False, True], ids=["crashed", "closed"])
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Kept:
    return Kept(tmp_path / "pool", closed=request.param)


@pytest.fixture
def crashed(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "pool", closed=False)


def test_a_record_that_was_torn_at_any_byte_is_dropped(crashed: Kept, tmp_path: Path) -> None:
    begin, end = crashed.ends[-2:]
    before = crashed.truth_until(begin, tmp_path)
    assert before != crashed.truth
    for cut in range(begin, end):
        torn = crashed.raw[:cut]
        for tail in (b"", bytes(4000), b"\0" + crashed.raw[cut + 1 :] + bytes(100) if cut < end - 1 else b""):
            found = crashed.with_journal(torn + tail, tmp_path)
            assert seen(found.state) == before
            assert found.end == begin
            assert (found.notes == []) == (not (torn + tail)[begin:].strip(b"\0"))
    found = crashed.with_journal(crashed.raw + bytes(100), tmp_path)
    assert (seen(found.state), found.notes) == (crashed.truth, [])


def test_after_a_torn_record_it_goes_on(crashed: Kept, tmp_path: Path) -> None:
    (crashed.path / JOURNAL).write_bytes(crashed.raw[:-5] + bytes(1000))
    with ResourcePool.open(crashed.path) as pool:
        assert "torn record" in pool.persistence.notes[0]
        pool.add_resource({"id": "new", "type": "u"})
    with ResourcePool.open(crashed.path) as pool:
        assert pool.persistence.notes == ()
        assert pool.get_resource("new").type == "u"


def flips(raw: bytes, every: bool) -> Iterator[bytes]:
    chosen = random.Random(7)
    for place in range(len(raw)):
        for bit in range(8) if every else [chosen.randrange(8)]:
            yield raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
@pytest.mark.parametrize("name", [JOURNAL, SNAPSHOT])
def test_no_bit_can_flip_unnoticed(kept: Kept, tmp_path: Path, name: str, every: bool) -> None:
    """The last record of a journal cannot be told from a torn one, wherever a flip makes it look so: with a note."""
    last = kept.truth_until(kept.ends[-2], tmp_path)
    raw = (kept.path / name).read_bytes().rstrip(b"\0")
    copy = copied(kept.path, tmp_path / "flipped")
    refused = dropped = 0
    for changed in flips(raw, every):
        (copy / name).write_bytes(changed)
        try:
            found = read(copy)
        except StateError as error:
            refused += error.path == str(copy / name) and str(error.offset) in str(error)
        else:
            assert name == JOURNAL
            assert seen(found.state) == last
            assert len(found.notes) == 1
            dropped += 1
    assert refused + dropped == len(list(flips(raw, every)))
    assert dropped <= 8 * (kept.ends[-1] - kept.ends[-2])


@pytest.mark.parametrize("name", [JOURNAL, SNAPSHOT])
def test_every_cut_is_noticed_or_at_the_end_of_a_record(kept: Kept, tmp_path: Path, name: str) -> None:
    raw = (kept.path / name).read_bytes().rstrip(b"\0")
    copy = copied(kept.path, tmp_path / "cut")
    for cut in range(0, len(raw), 3):
        (copy / name).write_bytes(raw[:cut])
        if name == SNAPSHOT or cut < kept.ends[1]:
            with pytest.raises(StateError):
                read(copy)
        else:
            whole = max(one for one in kept.ends if one <= cut)
            assert seen(read(copy).state) == kept.truth_until(whole, tmp_path)


def other_version(path: Path) -> None:
    raw = path.read_bytes()
    payloads = parsed(scan(raw).payloads)
    payloads[0][1] = 2
    path.write_bytes(b"".join([framed(json.dumps(one)) for one in payloads]))


def other_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_bytes(b"hello, world\n" * 10), "is no|is damaged"),
    (lambda path: path.write_bytes(b""), "is no"),
    (lambda path: path.write_bytes(framed('["other",1,2,3]')), "is no"),
    (lambda path: path.write_bytes(framed('["journal"]')), "is no"),
    (lambda path: path.write_bytes(framed('{"a":1}')), "contains what no pool writes"),
    (other_version, "is of version 2; this program reads version 1"),
    (lambda path: path.unlink(), "is missing"),
    (other_kind, "cannot be read: is a directory"),
]
WORDS = ["text", "empty", "foreign", "short", "object", "version", "gone", "directory"]


@pytest.mark.parametrize("name", [JOURNAL, SNAPSHOT])
@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=WORDS)
def test_what_is_not_ours_is_refused_and_stays(
    kept: Kept, name: str, damage: Callable[[Path], object], message: str
) -> None:
    damage(kept.path / name)
    before = sorted(one.name for one in kept.path.iterdir())
    for _ in range(2):
        with pytest.raises(StateError, match=message):
            ResourcePool.open(kept.path)
    assert sorted(one.name for one in kept.path.iterdir()) == before


@pytest.mark.parametrize("name", [JOURNAL, SNAPSHOT])
@pytest.mark.parametrize("damage", [one for one, _ in DAMAGES[:5]], ids=WORDS[:5])
def test_salvage_gets_over_a_file_that_is_not_ours(kept: Kept, name: str, damage: Callable[[Path], object]) -> None:
    damage(kept.path / name)
    with salvaged(kept.path) as pool:
        assert pool.persistence.notes
        assert name in [one.name.partition(".")[0] for one in kept.path.glob("*.corrupt-*")]
        found = {"e0": name == JOURNAL, "more": name == SNAPSHOT}
        assert {one: pool.find_resource(one) is not None for one in found} == found
    with ResourcePool.open(kept.path) as again:
        assert again.persistence.notes == ()


def test_the_error_names_file_offset_and_way_out(crashed: Kept) -> None:
    place = crashed.ends[3] + 20
    raw = bytearray(crashed.raw)
    raw[place] ^= 1
    (crashed.path / JOURNAL).write_bytes(raw)
    with pytest.raises(StateError) as caught:
        ResourcePool.open(crashed.path)
    assert caught.value.path == str(crashed.path / JOURNAL)
    assert caught.value.offset == crashed.ends[3]
    assert f"at byte {crashed.ends[3]}" in caught.value.problem
    assert 'recover="salvage"' in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["lent",99,"x",0,["nobody"]]', "which there is not"),
        ('["lent",99,"x",0,["e1"]]', "which no task can have any more"),
        ('["lent",99,"third",0,["e0"]]', "a second lease"),
        ('["removed","more"]', "though a task holds it"),
        ('["class",0,"t",{},{},1]\n["added",0,"e1"]', "added twice"),
        ('["serviced","e1",7]', "service 7"),
        ('["unheard of",1]', "makes no sense"),
        ('["lent",1]', "makes no sense"),
        ('["marked",3,"idle"]', "the usage 'idle' is none"),
    ],
)
def test_a_record_that_contradicts_is_refused(crashed: Kept, tmp_path: Path, text: str, message: str) -> None:
    more = b"".join([framed(one) for one in text.split("\n")])
    with pytest.raises(StateError, match=message):
        crashed.with_journal(crashed.raw + more, tmp_path)


def test_holes_are_what_a_loss_of_power_leaves(crashed: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = crashed.ends[4:6]
    holed = crashed.raw[:begin] + bytes(end - begin) + crashed.raw[end:]
    with pytest.raises(StateError, match=f"at byte {begin}"):
        crashed.with_journal(holed, tmp_path)
    monkeypatch.setattr(session, "_boot", lambda: "another start of the machine")
    found = crashed.with_journal(holed, tmp_path)
    assert seen(found.state) == crashed.truth_until(begin, tmp_path)
    assert "the machine stopped before everything was on the disk" in found.notes[0]


def salvaged(path: Path) -> KeptPool:
    with pytest.raises(StateError):
        ResourcePool.open(path)
    return ResourcePool.open(path, recover="salvage")


def test_salvage_keeps_what_is_whole_and_puts_the_file_aside(crashed: Kept) -> None:
    records = [json.loads(one.partition(b" ")[2]) for one in crashed.raw.splitlines()]
    place = next(number for number, one in enumerate(records) if one[:1] == ["marked"])
    raw = bytearray(crashed.raw)
    raw[crashed.ends[place] + 15] ^= 1
    (crashed.path / JOURNAL).write_bytes(raw)
    with salvaged(crashed.path) as pool:
        (aside,) = crashed.path.glob("*.corrupt-*")
        assert aside.read_bytes() == raw
        lost = crashed.ends[place + 1] - crashed.ends[place]
        assert f"{lost} bytes are lost" in pool.persistence.notes[0]
        assert str(aside) in pool.persistence.notes[-1]
        assert pool.get_resource("e2").tasks or pool.get_resource("e1").tasks
        third = pool.get_allocation("third")
        assert third is not None
        assert len(third.allocated_resources) == 2
    with ResourcePool.open(crashed.path) as again:
        assert again.persistence.notes == ()
        assert again.get_allocation("third") is not None


def test_salvage_knows_that_what_was_given_again_had_been_released(tmp_path: Path) -> None:
    pool = ResourcePool.open(tmp_path)
    pool.add_resource({"id": "only", "type": "t"})
    pool.allocate_resources("first", {"type": "t"})
    pool.release_resources("first")
    pool.allocate_resources("second", {"type": "t"})
    pool._keeper.let_go()
    path = tmp_path / "journal-00000001"
    lines = path.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    path.write_bytes(b"".join([one for one in lines if b'"returned"' not in one]))
    with salvaged(tmp_path) as again:
        assert again.get_resource("only").tasks == ("second",)
        assert again.get_allocation("first") is None
        assert any("'first' is lost" in one for one in again.persistence.notes)


@pytest.mark.parametrize("name", [JOURNAL, SNAPSHOT])
def test_salvage_without_a_file_says_so(kept: Kept, name: str) -> None:
    (kept.path / name).unlink()
    with salvaged(kept.path) as pool:
        assert "is missing" in pool.persistence.notes[0]
        found = {"e0": name == JOURNAL, "more": name == SNAPSHOT}
        assert {one: pool.find_resource(one) is not None for one in found} == found


def test_a_directory_that_was_only_begun_is_new(tmp_path: Path) -> None:
    ResourcePool.open(tmp_path).close()
    raw = (tmp_path / "journal-00000001").read_bytes()
    (tmp_path / "snapshot-00000001").unlink()
    (tmp_path / "journal-00000001").write_bytes(raw[: raw.index(b"\n", raw.index(b"\n") + 1) + 1])
    (tmp_path / "snapshot-00000001.tmp").write_bytes(b"begun")
    with ResourcePool.open(tmp_path) as pool:
        assert pool.get_status_report().total_resources == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["journal-00000002", "lock", "snapshot-00000002"]


def test_a_journal_without_the_snapshot_that_it_needs_is_left_out(tmp_path: Path) -> None:
    pool = ResourcePool.open(tmp_path)
    pool.add_resource({"id": "kept", "type": "t"})
    pool._keeper.let_go()
    with ResourcePool.open(tmp_path) as other:
        journal = other._keeper._made(2, fresh=True)
        journal.append(framed('["removed","kept"]'))
        journal.close()
    with ResourcePool.open(tmp_path) as again:
        assert again.get_resource("kept").id == "kept"
        assert "its snapshot was never finished" in again.persistence.notes[0]
    with ResourcePool.open(tmp_path) as again:
        assert again.persistence.notes == ()


def test_a_pool_whose_snapshot_is_lost_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    pool = ResourcePool.open(tmp_path)
    pool.add_resource({"id": "kept", "type": "t"})
    pool._keeper.renew()
    pool._expiry.close()
    pool._keeper.let_go()
    (tmp_path / "snapshot-00000002").unlink()
    with pytest.raises(StateError, match="is missing, though there is a journal"):
        ResourcePool.open(tmp_path)
