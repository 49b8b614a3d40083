"""`Entity`: one pooled thing, and who uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework import ResourceStatus

if TYPE_CHECKING:
    from plugin_pool.group import Group
    from plugin_pool.lease import Lease

IN_SERVICE, DRAINING, FAULTY, REMOVED = range(4)
"""What may become of an entity: it is given out; it is not any more; it awaits a person; the pool has forgotten it."""


class Entity:
    """One pooled thing.

    Attributes:
        holders: The leases that it is part of, at most as many as its group's capacity.
        service: One of the constants of this module.
        name: What it is called; empty where that is its id.
    """

    # there may be a million, and with one more attribute each would take 16 bytes more
    __slots__ = ("group", "holders", "id", "service")

    name = ""

    def __init__(self, name: str, group: Group) -> None:
        self.id = name
        self.group = group
        self.holders: tuple[Lease, ...] = ()
        self.service = IN_SERVICE

    @property
    def load(self) -> int:
        """How many tasks hold it now."""
        return len(self.holders)

    @property
    def has_room(self) -> bool:
        """True while one more task may have it."""
        return self.service == IN_SERVICE and len(self.holders) < self.group.capacity

    @property
    def status(self) -> ResourceStatus:
        """The one word that users see."""
        if self.service == FAULTY:
            return ResourceStatus.ERROR
        if not self.holders:
            return ResourceStatus.RELEASED if self.service else ResourceStatus.AVAILABLE
        usages = [lease.usage for lease in self.holders]
        for usage in (ResourceStatus.BUSY, ResourceStatus.DEPLOYED):
            if usage in usages:
                return usage
        return ResourceStatus.BLOCKED


class _Named(Entity):
    """An entity that is called otherwise than by its id."""

    __slots__ = ("name",)

    def __init__(self, name: str, shown: str, group: Group) -> None:
        super().__init__(name, group)
        self.name = shown


def new_entity(name: str, shown: str, group: Group) -> Entity:
    """Return an entity of that id, `shown` as something else unless that is empty."""
    return _Named(name, shown, group) if shown else Entity(name, group)
