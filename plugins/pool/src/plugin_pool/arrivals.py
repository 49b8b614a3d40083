"""`Arrivals`: reads many entities quickly, because most of them are alike."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator
from typing import Any

from plugin_pool import reading
from plugin_pool.records import ResourceInstance

_MOST = 4096
"""Descriptions that are remembered; then all are forgotten."""

_NO_REFERENCES = 2
"""The version of `marshal` that writes equal values alike, whether they are one object or several."""

_PERSONAL = ("id", "name", "status")
_SHARED = ("type", "capabilities", "labels", "capacity")
_FIELDS = frozenset([*_PERSONAL, *_SHARED])

Arrival = tuple[str, str, ResourceInstance]
"""The id of an entity, its name, and the record of one that is alike."""


class Arrivals:
    """Entities that are about to be added. Not thread-safe."""

    def __init__(self) -> None:
        self._known: dict[bytes, ResourceInstance] = {}

    def read(self, resources: Iterable[object]) -> Iterator[Arrival]:
        """Yield what there is to add.

        Raises:
            InvalidRequestError: A field is unknown, missing or wrong.
        """
        for given in resources:
            if type(given) is dict and "name" not in given and given.keys() <= _FIELDS:
                yield self._alike(given)
            else:
                read = reading.entity(given)
                yield read.id, read.name, read

    def _alike(self, given: dict[str, Any]) -> Arrival:
        try:
            key = marshal.dumps([given.get(one) for one in _SHARED], _NO_REFERENCES)
        except ValueError:
            key = b""
        like = self._known.get(key)
        if like is None:
            like = reading.entity(given)
            if key:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = like
        name = reading.text(given.get("id"), "The id of a resource")
        return name, name, like
