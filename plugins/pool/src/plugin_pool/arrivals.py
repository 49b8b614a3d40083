"""`Arrivals`: reads many entities quickly, because most of them are alike."""

from __future__ import annotations

import marshal
from collections.abc import Iterable
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


class Arrivals:
    """Entities that are about to be added. Not thread-safe.

    Args:
        resources: What describes them.

    Attributes:
        names: The id of each.
        likes: For each the record of one that is alike.
        shown: The names of those that are called otherwise than by their id.

    Raises:
        InvalidRequestError: A field is unknown, missing or wrong.
    """

    def __init__(self, resources: Iterable[object]) -> None:
        self.names: list[str] = []
        self.likes: list[ResourceInstance] = []
        self.shown: dict[str, str] = {}
        self._known: dict[bytes, ResourceInstance] = {}
        for given in resources:
            if type(given) is dict and "name" not in given and given.keys() <= _FIELDS:
                self.likes.append(self._like(given))
                self.names.append(reading.text(given.get("id"), "The id of a resource"))
                continue
            read = reading.entity(given)
            self.likes.append(read)
            self.names.append(read.id)
            if read.name != read.id:
                self.shown[read.id] = read.name

    def _like(self, given: dict[str, Any]) -> ResourceInstance:
        try:
            key = marshal.dumps([given.get(one) for one in _SHARED], _NO_REFERENCES)
        except ValueError:
            return reading.entity(given)
        like = self._known.get(key)
        if like is None:
            like = reading.entity(given)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = like
        return like
