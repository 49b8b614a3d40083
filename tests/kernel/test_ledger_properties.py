"""The ledger against a model: a dictionary of states, and counters."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from framework import Ledger, Resource, Usage
from framework.errors import LeaseStateError
from framework.lease import Lease
from framework.records import Allocation, LedgerStatistics

GONE = {Allocation.RELEASED, Allocation.FAILED}


class Thing(Resource):
    """Holds nothing."""

    async def _close(self) -> None:
        """Nothing to give back."""


class LedgerMachine(RuleBasedStateMachine):
    """Does anything to any lease, at any time, and keeps its own books."""

    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.states: dict[Lease, Allocation] = {}
        self.things: dict[Lease, Thing] = {}  # the ledger itself does not keep them
        self.usages: dict[Lease, Usage] = {}
        self.counts: Counter[str] = Counter()

    def attempt(self, lease: Lease, to: Allocation, allowed: set[Allocation]) -> bool:
        """Return whether the model allows a transition, and make it there."""
        if self.states[lease] not in allowed:
            return False
        self.states[lease] = to
        return True

    @rule(target=leases, kind=st.sampled_from(["a", "b"]), owner=st.sampled_from(["me", "you"]), size=st.integers(0, 9))
    def open(self, kind: str, owner: str, size: int) -> Lease:
        lease = self.ledger.open(kind, "", owner, size)
        self.states[lease] = Allocation.INTENT
        self.usages[lease] = Usage.AVAILABLE
        return lease

    @rule(lease=leases)
    def hold(self, lease: Lease) -> None:
        if self.attempt(lease, Allocation.HELD, {Allocation.INTENT}):
            self.things[lease] = Thing()
            self.ledger.hold(lease, self.things[lease])
            self.counts["acquired"] += 1
        else:
            with pytest.raises(LeaseStateError):
                self.ledger.hold(lease, Thing())

    @rule(lease=leases)
    def fail(self, lease: Lease) -> None:
        if self.attempt(lease, Allocation.FAILED, {Allocation.INTENT}):
            self.ledger.fail(lease)
            self.counts["failed"] += 1
        else:
            with pytest.raises(LeaseStateError):
                self.ledger.fail(lease)

    @rule(lease=leases)
    def claim(self, lease: Lease) -> None:
        if self.states[lease] in {Allocation.RELEASING, Allocation.RELEASED}:
            assert not self.ledger.claim(lease)
            self.counts["repeated"] += 1
        elif self.attempt(lease, Allocation.RELEASING, {Allocation.HELD, Allocation.QUARANTINED}):
            assert self.ledger.claim(lease)
        else:
            with pytest.raises(LeaseStateError):
                self.ledger.claim(lease)

    @rule(lease=leases, released=st.booleans())
    def settle(self, lease: Lease, released: bool) -> None:
        to = Allocation.RELEASED if released else Allocation.QUARANTINED
        if self.attempt(lease, to, {Allocation.RELEASING}):
            self.ledger.settle(lease, released=released)
            self.counts["released"] += released
        else:
            with pytest.raises(LeaseStateError):
                self.ledger.settle(lease, released=released)

    @rule(lease=leases, usage=st.sampled_from(Usage))
    def use(self, lease: Lease, usage: Usage) -> None:
        if self.states[lease] is Allocation.HELD:
            self.ledger.use(lease, usage)
            self.usages[lease] = usage
        else:
            with pytest.raises(LeaseStateError):
                self.ledger.use(lease, usage)

    @invariant()
    def statistics_equal_the_model(self) -> None:
        there = [lease for lease, state in self.states.items() if state not in GONE]
        kinds, owners = {lease.kind for lease in there}, {lease.owner for lease in there}
        assert self.ledger.statistics() == LedgerStatistics(
            acquired=self.counts["acquired"],
            released=self.counts["released"],
            failed=self.counts["failed"],
            refused=0,
            expired=0,
            abandoned=0,
            repeated_releases=self.counts["repeated"],
            held=len(there),
            held_bytes=sum(lease.size for lease in there),
            held_by_kind=Counter(lease.kind for lease in there),
            held_by_owner=Counter(lease.owner for lease in there),
            held_bytes_by_kind={kind: sum(one.size for one in there if one.kind == kind) for kind in kinds},
            held_bytes_by_owner={owner: sum(one.size for one in there if one.owner == owner) for owner in owners},
        )

    @invariant()
    def leases_equal_the_model(self) -> None:
        assert self.ledger.leases() == [lease for lease, state in self.states.items() if state not in GONE]
        for lease, state in self.states.items():
            assert lease.allocation is state
            assert state is not Allocation.HELD or lease.status.value == self.usages[lease].value
            assert (lease.resource is None) == (state in {Allocation.INTENT, *GONE})


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
