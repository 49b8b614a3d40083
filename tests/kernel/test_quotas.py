"""Quotas against a model that counts anew each time."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from framework.errors import ResourceLimitError
from framework.quotas import KEPT, Quotas, Tally, from_settings
from framework.records import Quota

KINDS = ["memory.shared", "memory.buffer", "file.temp"]
OWNERS = ["ann", "anton", "bob"]
kinds = st.sampled_from(KINDS)
owners = st.sampled_from(OWNERS)
sizes = st.integers(0, 12)
bounds = st.one_of(st.none(), st.integers(0, 30))
quotas = st.builds(
    Quota,
    st.lists(st.sampled_from([*KINDS, "memory.*", "*", "nothing"]), min_size=1, max_size=2).map(tuple),
    st.sampled_from(["", "*", "an*", "bob"]),
    bounds.map(lambda bound: bound and bound // 5),
    bounds,
)


@dataclass(eq=False)
class Held:
    """A lease, as the model has it; `towards` are the quotas that it counts towards."""

    kind: str
    owner: str
    size: int
    books: Sequence[Tally]
    towards: list[Quota]


class QuotaMachine(RuleBasedStateMachine):
    """Adds and removes quotas, enters and leaves, and counts for itself what is held."""

    held: Bundle[Held | None] = Bundle("held")
    known: Bundle[Quota] = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.quotas = Quotas()
        self.in_force: list[Quota] = []
        self.all: list[Held] = []

    @rule(target=known, quota=quotas)
    def add(self, quota: Quota) -> Quota:
        self.quotas.add(quota)
        self.in_force.append(quota)
        return quota

    @rule(quota=consumes(known))
    def remove(self, quota: Quota) -> None:
        self.quotas.remove(quota)
        self.in_force.remove(quota)
        self.quotas.remove(quota)

    @rule(target=held, kind=kinds, owner=owners, size=sizes)
    def enter(self, kind: str, owner: str, size: int) -> Held | None:
        matching = [
            one
            for one in self.in_force
            if any(fnmatchcase(kind, pattern) for pattern in one.kinds)
            and (not one.owner or fnmatchcase(owner, one.owner))
        ]
        if any(self.exceeds(quota, owner, size) for quota in matching):
            with pytest.raises(ResourceLimitError) as caught:
                self.quotas.enter(kind, owner, size)
            assert repr(owner) in str(caught.value)
            return None
        one = Held(kind, owner, size, self.quotas.enter(kind, owner, size), matching)
        self.all.append(one)
        return one

    def exceeds(self, quota: Quota, owner: str, size: int) -> bool:
        counted = [one for one in self.all if quota in one.towards and (not quota.owner or one.owner == owner)]
        too_many = quota.count is not None and len(counted) + 1 > quota.count
        return too_many or bool(
            quota.bytes is not None and size and sum(one.size for one in counted) + size > quota.bytes
        )

    @rule(one=consumes(held))
    def leave(self, one: Held | None) -> None:
        if one is not None:
            self.quotas.leave(one.books, one.size)
            self.all.remove(one)

    @invariant()
    def totals_are_those_of_the_model(self) -> None:
        for axis in ("kind", "owner"):
            expected: dict[str, tuple[int, int]] = {}
            for one in self.all:
                count, size = expected.get(getattr(one, axis), (0, 0))
                expected[getattr(one, axis)] = count + 1, size + one.size
            totals = {name: (tally.count, tally.bytes) for name, tally in self.quotas.totals(axis).items()}
            assert totals == expected

    @invariant()
    def nothing_is_counted_of_what_was_given_back(self) -> None:
        if not self.all:
            for tallies in (self.quotas._tallies, self.quotas._bounded):
                assert not any(tally.count or tally.bytes for tally in tallies.values())


TestQuotas = QuotaMachine.TestCase
TestQuotas.settings = settings(max_examples=100, stateful_step_count=40)


def test_owners_that_come_and_go_do_not_pile_up() -> None:
    quotas = Quotas()
    quotas.add(Quota(("memory.*",), "*", count=1))
    staying = [quotas.enter("memory.buffer", f"stays {number}", 1) for number in range(100)]
    for number in range(2000):
        quotas.leave(quotas.enter("memory.buffer", f"passes {number}", 1), 1)
        assert len(quotas._tallies) + len(quotas._bounded) <= 4 * len(staying) + KEPT + 2
        assert len(quotas._accounts) <= len(quotas._tallies)
    assert len(quotas.totals("owner")) == len(staying)


def test_a_refusal_names_owner_held_asked_and_limit() -> None:
    quotas = Quotas()
    quotas.add(Quota(("memory.*",), bytes=10, setting="plugins.memory.max_bytes"))
    quotas.add(Quota(("file.*",), "*", count=1, setting="quotas.owners.*"))
    quotas.enter("memory.shared", "ann", 7)
    with pytest.raises(ResourceLimitError) as caught:
        quotas.enter("memory.buffer", "bob", 4)
    assert str(caught.value).startswith(
        "memory.buffer: owner 'bob' asked for 4 bytes, but of the 10 bytes that plugins.memory.max_bytes allows,"
        " 7 are held by all owners together."
    )
    quotas.enter("file.temp", "ann", 0)
    quotas.enter("file.temp", "bob", 0)
    with pytest.raises(ResourceLimitError, match=r"asked for one more, but of the 1 .* 1 are held by 'bob'"):
        quotas.enter("file.temp", "bob", 0)


def test_the_configuration_bounds_kinds_together_and_owners_each() -> None:
    section = {"kinds": {"memory.*": {"bytes": 5}}, "owners": {"bob*": {"count": 2}}}
    by_kind, by_owner = from_settings(section)
    assert (by_kind.kinds, by_kind.owner, by_kind.count, by_kind.bytes) == (("memory.*",), "", None, 5)
    assert (by_owner.kinds, by_owner.owner, by_owner.count, by_owner.bytes) == (("*",), "bob*", 2, None)
    assert by_kind.setting == "quotas.kinds.memory.*"
    assert list(from_settings(None)) == []
