"""`Watcher`: is told of every change of a pool, for whoever keeps it on disk, counts, or tells others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from plugin_pool.records import ReleaseReason, Tier

if TYPE_CHECKING:
    from plugin_pool.entity import Entity
    from plugin_pool.lease import Lease
    from plugin_pool.waiter import Waiter


class Watcher:
    """Does nothing about anything; override what is of interest.

    Each method is called once a change is made, under the lock of the pool: it must be quick, must not raise, and must
    not call the pool. While anybody watches, an allocation costs what the watcher takes and a little more.
    """

    def added(self, entity: Entity) -> None:
        """An entity is new."""

    def removed(self, entity: Entity) -> None:
        """An entity is gone."""

    def serviced(self, entity: Entity, before: int) -> None:
        """What may become of an entity (its `service`) has changed: faulty, draining, or in service again."""

    def lent(self, lease: Lease, entities: Sequence[Entity]) -> None:
        """A task was given entities: all that its lease has, or more than it had."""

    def marked(self, lease: Lease) -> None:
        """A task does something else with what it holds: its `usage` has changed."""

    def limited(self, lease: Lease) -> None:
        """A lease ends at another time."""

    def returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str]
    ) -> None:
        """A task gave back entities, all that it held or what it could not be handed; the faulty ones follow."""

    def refused(self, task_id: str, tier: Tier) -> None:
        """A task was sent away at once, and did not wait."""

    def interrupted(self) -> None:
        """A change was interrupted and the pool made whole: the change was told in part or not at all, or not made."""

    def joined(self, waiter: Waiter) -> None:
        """A task waits."""

    def served(self, waiter: Waiter) -> None:
        """A task that waited was given what it waited for."""

    def left(self, waiter: Waiter) -> None:
        """A task waits no more and got nothing: it gave up, or was `refused`."""
