"""`Requests`: what was required before, so that it need not be read again."""

from __future__ import annotations

import marshal
from contextlib import AbstractContextManager
from typing import Any

from framework.errors import InvalidRequestError
from plugin_pool import reading
from plugin_pool.change import Change
from plugin_pool.request import Request
from plugin_pool.stock import Stock

_MOST = 1024
"""Requests that are remembered; then all are forgotten."""

_LONGEST = 2000
"""Bytes of a request that is remembered."""

_NO_REFERENCES = 2
"""The version of `marshal` that writes equal values alike, whether they are one object or several."""


class Requests:
    """The requests of a pool, by what they look like as plain data. Thread-safe."""

    def __init__(self, stock: Stock, lock: AbstractContextManager[object], change: Change) -> None:
        self._stock = stock
        self._lock = lock
        self._change = change
        self._known: dict[bytes, Request] = {}

    def get(self, requirements: object) -> Request:
        """Return the request for some requirements.

        Raises:
            InvalidRequestError: They are wrong, or there are none, or another pool has prepared them.
        """
        if type(requirements) is Request:
            return self._own(requirements)
        key = _written(requirements)
        found = self._known.get(key)
        if found is None:
            found = self._read(requirements)
            if key:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = found
        return found

    def _own(self, request: Request) -> Request:
        if request.index is not self._stock.index:
            raise InvalidRequestError("The request was prepared by another pool.", "Prepare it with this one.")
        return request

    def _read(self, requirements: object) -> Request:
        read = reading.requirements(requirements)
        with self._lock, self._change:
            self._stock.choose()
            return Request(self._stock.index, read)


def _written(requirements: Any) -> bytes:
    """Return what requirements of plain data look like, equal only for equal ones; empty for others, and long ones."""
    try:
        found = marshal.dumps(requirements, _NO_REFERENCES)
    except ValueError:
        return b""
    return found if len(found) <= _LONGEST else b""
