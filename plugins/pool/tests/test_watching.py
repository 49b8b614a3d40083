"""Whoever watches a pool is told of every change, and can tell from that alone how it is."""

from collections.abc import Collection, Sequence

from framework import ResourceStatus
from plugin_pool import ReleaseReason, ResourcePool, ShortageError, Watcher
from plugin_pool.entity import Entity
from plugin_pool.lease import Lease
from plugin_pool.waiter import ThreadWaiter, Waiter


class Diary(Watcher):
    """Writes everything down."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def added(self, entity: Entity) -> None:
        self.told.append(("added", entity.id))

    def removed(self, entity: Entity) -> None:
        self.told.append(("removed", entity.id))

    def serviced(self, entity: Entity, before: int) -> None:
        self.told.append(("serviced", entity.id, before, entity.service))

    def lent(self, lease: Lease, entities: Sequence[Entity]) -> None:
        self.told.append(("lent", lease.task_id, [one.id for one in entities]))

    def marked(self, lease: Lease) -> None:
        self.told.append(("marked", lease.task_id, lease.usage))

    def limited(self, lease: Lease) -> None:
        self.told.append(("limited", lease.task_id, lease.ttl))

    def returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str]
    ) -> None:
        self.told.append(("returned", lease.task_id, [one.id for one in entities], reason, list(faulty)))

    def joined(self, waiter: Waiter) -> None:
        self.told.append(("joined", waiter.task_id))

    def served(self, waiter: Waiter) -> None:
        self.told.append(("served", waiter.task_id))

    def left(self, waiter: Waiter) -> None:
        self.told.append(("left", waiter.task_id))


class Silent(ThreadWaiter):
    """Waits without a thread."""

    def wake(self) -> bool:
        """Nobody to wake."""
        return True


def test_a_life_is_told() -> None:
    """Entities come, serve, fail, are repaired and go; tasks take, run, renew, extend and give back."""
    pool, diary = ResourcePool(), Diary()
    pool.watch(diary)
    pool.add_resource({"id": "a", "type": "t"})
    pool.add_resource({"id": "b", "type": "t"})
    pool.allocate_resources("one", {"type": "t"}, ttl=60)
    pool.mark_executing("one")
    pool.extend("one", {"type": "t"})
    pool.release_resources("one", "failed", faulty=["a"])
    pool.repair_resource("a")
    pool.remove_resource("b")
    pool.close()
    assert diary.told == [
        ("added", "a"),
        ("added", "b"),
        ("lent", "one", ["a"]),
        ("limited", "one", 60.0),
        ("marked", "one", ResourceStatus.BUSY),
        ("lent", "one", ["b"]),
        ("returned", "one", ["a", "b"], "failed", ["a"]),
        ("serviced", "a", 0, 2),
        ("serviced", "a", 2, 0),
        ("removed", "b"),
    ]


def test_waiting_is_told() -> None:
    """A task that waits joins, and then is served or leaves."""
    pool, diary = ResourcePool(), Diary()
    pool.add_resource({"id": "a", "type": "t"})
    pool.allocate_resources("holder", {"type": "t"})
    pool.watch(diary)
    request = pool.prepare({"type": "t"})
    assert pool.join(Silent("first", request))
    second = Silent("second", request)
    assert pool.join(second)
    pool.release_resources("holder")
    assert pool.leave(second)
    assert diary.told == [
        ("joined", "first"),
        ("joined", "second"),
        ("returned", "holder", ["a"], "completed", []),
        ("lent", "first", ["a"]),
        ("served", "first"),
        ("left", "second"),
    ]


def test_giving_up_is_told() -> None:
    """A task that waits in vain leaves."""
    pool, diary = ResourcePool(), Diary()
    pool.add_resource({"id": "a", "type": "t"})
    pool.allocate_resources("holder", {"type": "t"})
    pool.watch(diary)
    try:
        pool.acquire("late", {"type": "t"}, timeout=0.01)
    except ShortageError:
        assert diary.told == [("joined", "late"), ("left", "late")]
    else:
        raise AssertionError
