import gc
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from framework import Ledger, Resource, ResourceStatus, Usage
from framework.errors import LeaseStateError
from framework.lease import Lease
from framework.records import Allocation


class Thing(Resource):
    """Holds nothing."""

    async def _close(self) -> None:
        """Nothing to give back."""


def lease_in(state: Allocation, ledger: Ledger) -> Lease:
    """Return a lease that went the shortest legal way to a state."""
    lease = ledger.open("kind.x", "one", "me", 5)
    if state is Allocation.FAILED:
        ledger.fail(lease)
    elif state is not Allocation.INTENT:
        ledger.hold(lease, Thing())
        if state is not Allocation.HELD:
            ledger.claim(lease)
            if state is not Allocation.RELEASING:
                ledger.settle(lease, released=state is Allocation.RELEASED)
    assert lease.allocation is state
    return lease


TRANSITIONS: dict[str, tuple[Callable[[Ledger, Lease], object], set[Allocation]]] = {
    "hold": (lambda ledger, lease: ledger.hold(lease, Thing()), {Allocation.INTENT}),
    "fail": (lambda ledger, lease: ledger.fail(lease), {Allocation.INTENT}),
    "claim": (
        lambda ledger, lease: ledger.claim(lease),
        {Allocation.HELD, Allocation.QUARANTINED, Allocation.RELEASING, Allocation.RELEASED},
    ),
    "release": (lambda ledger, lease: ledger.settle(lease, released=True), {Allocation.RELEASING}),
    "quarantine": (lambda ledger, lease: ledger.settle(lease, released=False), {Allocation.RELEASING}),
    "use": (lambda ledger, lease: ledger.use(lease, Usage.BUSY), {Allocation.HELD}),
}


@pytest.mark.parametrize("state", Allocation)
@pytest.mark.parametrize("action", TRANSITIONS)
def test_only_the_transitions_of_the_model_are_made(action: str, state: Allocation) -> None:
    ledger = Ledger()
    lease = lease_in(state, ledger)
    move, allowed = TRANSITIONS[action]
    before = ledger.statistics()
    if state in allowed:
        move(ledger, lease)
        return
    with pytest.raises(LeaseStateError, match=f"kind.x 'one' is {state.value} and cannot .* needs it to be ") as caught:
        move(ledger, lease)
    assert caught.value.resource == "one"
    assert lease.allocation is state
    assert ledger.statistics() == before


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (Allocation.INTENT, ResourceStatus.BLOCKED),
        (Allocation.HELD, ResourceStatus.AVAILABLE),
        (Allocation.RELEASING, ResourceStatus.RELEASED),
        (Allocation.RELEASED, ResourceStatus.RELEASED),
        (Allocation.FAILED, ResourceStatus.ERROR),
        (Allocation.QUARANTINED, ResourceStatus.ERROR),
    ],
)
def test_a_status_is_the_projection_of_both_axes(state: Allocation, status: ResourceStatus) -> None:
    assert lease_in(state, Ledger()).record().status is status


@pytest.mark.parametrize("usage", Usage)
def test_a_held_lease_shows_its_usage(usage: Usage) -> None:
    ledger = Ledger()
    lease = lease_in(Allocation.HELD, ledger)
    ledger.use(lease, usage)
    assert lease.status.value == usage.value


def test_a_lease_of_another_ledger_is_refused() -> None:
    lease = lease_in(Allocation.HELD, Ledger())
    with pytest.raises(LeaseStateError, match="in this ledger"):
        Ledger().claim(lease)


def test_left_out_names_are_made_up_and_unique() -> None:
    ledger = Ledger()
    names = {ledger.open("kind.x", "", "me", 0).name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("kind.x-") for name in names)


def test_records_are_oldest_first_and_statistics_count_by_kind_and_owner() -> None:
    ledger = Ledger()
    for kind, owner, size in [("a.x", "me", 1), ("b.x", "you", 2), ("a.x", "you", 4)]:
        ledger.open(kind, f"{kind}-{size}", owner, size)
    assert [record.size for record in ledger.records()] == [1, 2, 4]
    now = ledger.statistics()
    assert (now.held, now.held_bytes) == (3, 7)
    assert now.held_by_kind == {"a.x": 2, "b.x": 1}
    assert now.held_by_owner == {"me": 1, "you": 2}


def test_of_sixteen_threads_exactly_one_wins_each_lease() -> None:
    ledger, count, threads = Ledger(), 300, 16
    leases = [lease_in(Allocation.HELD, ledger) for _ in range(count)]
    start = threading.Barrier(threads)

    def claim_all(_: int) -> int:
        start.wait(10)
        return sum(ledger.claim(lease) for lease in leases)

    with ThreadPoolExecutor(threads) as pool:
        wins = list(pool.map(claim_all, range(threads)))
    assert sum(wins) == count
    assert ledger.statistics().repeated_releases == count * (threads - 1)
    for lease in leases:
        ledger.settle(lease, released=True)
    assert (ledger.statistics().held, ledger.statistics().released) == (0, count)


def test_sixteen_threads_that_open_and_close_leave_nothing() -> None:
    ledger, threads, rounds = Ledger(), 16, 50

    def work(_: int) -> set[int]:
        ids = set()
        for _ in range(rounds):
            lease = lease_in(Allocation.HELD, ledger)
            ids.add(lease.id)
            assert ledger.claim(lease)
            ledger.settle(lease, released=True)
        return ids

    with ThreadPoolExecutor(threads) as pool:
        ids = set().union(*pool.map(work, range(threads)))
    now = ledger.statistics()
    assert len(ids) == now.acquired == now.released == threads * rounds
    assert ledger.records() == ()


def test_a_handler_of_a_signal_may_look_at_the_ledger_at_any_moment() -> None:
    ledger = Ledger()
    looks: list[int] = []
    former = signal.signal(signal.SIGALRM, lambda *_: looks.append(ledger.statistics().held))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        while len(looks) < 300:
            ledger.fail(ledger.open("kind.x", "", "me", 0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert set(looks) <= {0, 1}


def test_a_finalizer_that_uses_the_ledger_never_blocks_it() -> None:
    ledger = Ledger()

    class Marks:
        """Uses the ledger when the collector finds it."""

        def __init__(self) -> None:
            self.itself = self
            self.thing = Thing()
            self.lease = ledger.open("kind.x", "", "me", 0)
            ledger.hold(self.lease, self.thing)

        def __del__(self) -> None:
            ledger.use(self.lease, Usage.BUSY)
            ledger.claim(self.lease)
            ledger.settle(self.lease, released=True)

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Marks()
            ledger.records()
            ledger.statistics()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert ledger.statistics().held == 0
