"""`Instances`: records of entities, made when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from plugin_pool.entity import Entity
from plugin_pool.records import ResourceInstance


class Instances(Sequence[ResourceInstance]):
    """A sequence of records, each of which says how its entity is at the moment at which it is looked at."""

    __slots__ = ("_entities", "_record")

    def __init__(self, entities: Sequence[Entity], record: Callable[[Entity], ResourceInstance]) -> None:
        self._entities = entities
        self._record = record

    def __len__(self) -> int:
        return len(self._entities)

    @overload
    def __getitem__(self, index: int) -> ResourceInstance: ...
    @overload
    def __getitem__(self, index: slice) -> Instances: ...
    def __getitem__(self, index: int | slice) -> ResourceInstance | Instances:
        if isinstance(index, slice):
            return Instances(self._entities[index], self._record)
        return self._record(self._entities[index])

    def __repr__(self) -> str:
        return f"<{len(self)} resources>"
