"""`MemoryCache`: values that can be made again, up to so many bytes, given back under pressure."""

from __future__ import annotations

import heapq
import sys
import threading
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from framework import Resource
from framework.errors import InvalidRequestError, LeaseStateError, ResourceLimitError
from plugin_memory.weighing import weigh

OVERHEAD = 160
"""Bytes that an entry takes besides key and value; measured, with the dictionary's share."""

_UNSHARED = 2  # references to a value that only its entry has, as `getrefcount` counts them: the entry's, and its own


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache holds now, and what happened to it since it was made. An expired entry is a miss too."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    evictions: int
    expirations: int

    @property
    def hit_ratio(self) -> float:
        """Hits per look-up; 0 before the first one."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class _Entry:
    __slots__ = ("expires", "size", "value")

    def __init__(self, value: object, size: int, expires: float) -> None:
        self.value = value
        self.size = size
        self.expires = expires


class MemoryCache(Resource):
    """A mapping that never holds more bytes than it was given; the least recently used entries go first. Thread-safe.

    Keys and `OVERHEAD` count too; `weigh` says how values are weighed. What several entries share is counted by each.

    Args:
        max_bytes: Most bytes held.
        entry_ttl: Seconds that an entry lives unless `set` says otherwise; for ever when None.
    """

    def __init__(self, max_bytes: int, entry_ttl: float | None = None) -> None:
        self.max_bytes = max_bytes
        self.entry_ttl = entry_ttl
        self._clock = time.monotonic
        # Reentrant, because what is dropped under it may have a finalizer that comes back here.
        self._lock = threading.RLock()
        self._open = True
        self._entries: dict[Hashable, _Entry] = {}  # the least recently used one first
        self._deadlines: list[tuple[float, int, Hashable]] = []  # a heap; what was replaced meanwhile is still in it
        self._order = 0
        self._bytes = 0
        self._hits = self._misses = self._evictions = self._expirations = 0

    def get(self, key: Hashable, default: Any = None) -> Any:
        """Return the value of a key, which is then the most recently used one, or the default.

        Raises:
            LeaseStateError: The cache was released.
        """
        with self._lock:
            self._refresh()
            entry = self._entries.pop(key, None)
            if entry is None:
                self._misses += 1
                return default
            self._entries[key] = entry
            self._hits += 1
            return entry.value

    def set(self, key: Hashable, value: object, *, ttl: float | None = None, size: int | None = None) -> None:
        """Keep a value, in place of what the key had; the least recently used entries make room for it.

        Args:
            key: What to find it by.
            value: Any object; it is not copied.
            ttl: Seconds that it lives, `float("inf")` for ever; the cache's `entry_ttl` when None.
            size: Its bytes, where you know better than `weigh`.

        Raises:
            InvalidRequestError: The ttl is not above 0, or the size is below.
            ResourceLimitError: It is larger than the whole cache; what the key had stays.
            LeaseStateError: The cache was released.
        """
        lifetime = self.entry_ttl if ttl is None else ttl
        check_ttl(self.kind, lifetime)
        if size is not None and size < 0:
            raise InvalidRequestError(f"{self.kind} got an entry of size {size}; the least allowed is 0 bytes.")
        total = OVERHEAD + weigh(key) + (weigh(value) if size is None else size)
        if total > self.max_bytes:
            raise ResourceLimitError(
                f"{self.kind} {self.name!r} got an entry of {total} bytes, but holds at most {self.max_bytes}.",
                "Acquire a larger cache, or keep such values elsewhere.",
                resource=self.name,
            )
        dropped = []  # until all is done: a finalizer may come back here, and set the same key
        with self._lock:
            now = self._refresh()
            dropped.append(self._drop(key))
            while self._bytes + total > self.max_bytes:
                dropped.append(self._drop(next(iter(self._entries))))
                self._evictions += 1
            expires = float("inf") if lifetime is None else now + lifetime
            self._entries[key] = _Entry(value, total, expires)
            self._bytes += total
            if lifetime is not None:
                self._order += 1  # keys need not have an order
                heapq.heappush(self._deadlines, (expires, self._order, key))

    def delete(self, key: Hashable) -> bool:
        """Drop a key, and return whether it was there.

        Raises:
            LeaseStateError: The cache was released.
        """
        with self._lock:
            self._refresh()
            return self._drop(key) is not None

    def pop(self, key: Hashable, default: Any = None) -> Any:
        """Drop a key, and return its value, or the default. Counted as a look-up.

        Raises:
            LeaseStateError: The cache was released.
        """
        with self._lock:
            self._refresh()
            entry = self._drop(key)
            if entry is None:
                self._misses += 1
                return default
            self._hits += 1
            return entry.value

    def clear(self) -> None:
        """Drop everything; what was counted stays counted.

        Raises:
            LeaseStateError: The cache was released.
        """
        with self._lock:
            self._refresh()
            self._drop_all()

    def items(self) -> list[tuple[Hashable, Any]]:
        """Return keys with their values, the least recently used first; looking at them does not count as use.

        Raises:
            LeaseStateError: The cache was released.
        """
        with self._lock:
            self._refresh()
            return [(key, entry.value) for key, entry in self._entries.items()]

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            self._refresh()
            return key in self._entries

    def __len__(self) -> int:
        with self._lock:
            self._refresh()
            return len(self._entries)

    def __bool__(self) -> bool:
        return True  # an empty cache is a cache

    def __iter__(self) -> Iterator[Hashable]:
        return iter([key for key, _ in self.items()])

    def statistics(self) -> CacheStatistics:
        """Return the counts of now; those of a released cache are its last ones."""
        with self._lock:
            self._expire()
            return CacheStatistics(
                len(self._entries),
                self._bytes,
                self.max_bytes,
                self._hits,
                self._misses,
                self._evictions,
                self._expirations,
            )

    def shrink(self, *, aggressive: bool = False) -> int:
        """Drop what is expired, and of the rest the least recently used half of the bytes, or all.

        Returns:
            The bytes of what was dropped and nobody else refers to; the rest of it frees nothing yet.
        """
        with self._lock:
            freed = self._expire()
            goal = 0 if aggressive else self._bytes // 2
            while self._bytes > goal:
                freed += self._evict(next(iter(self._entries)))
                self._evictions += 1
            return freed

    def _close(self) -> None:
        with self._lock:
            self._open = False
            self._drop_all()

    def _refresh(self) -> float:
        """Drop what is expired, note the use, and return the time."""
        if not self._open:
            raise LeaseStateError(
                f"{self.kind} {self.name!r} was released, so it holds nothing.",
                "Use it before release(), inside the `async with`.",
                resource=self.name,
            )
        self.touch()
        self._expire()
        return self._clock()

    def _expire(self) -> int:
        freed = 0
        if self._deadlines:
            now = self._clock()
            while self._deadlines and self._deadlines[0][0] <= now:
                key = heapq.heappop(self._deadlines)[2]
                entry = self._entries.get(key)
                if entry is not None and entry.expires <= now:
                    del entry
                    freed += self._evict(key)
                    self._expirations += 1
            if len(self._deadlines) > 2 * len(self._entries) + 64:  # mostly of what was replaced or dropped
                self._schedule()
        return freed

    def _schedule(self) -> None:
        """Forget the deadlines of what is not there any more."""
        self._deadlines = [
            (entry.expires, number, key)
            for number, (key, entry) in enumerate(self._entries.items())
            if entry.expires != float("inf")
        ]
        self._order = len(self._entries)
        heapq.heapify(self._deadlines)

    def _evict(self, key: Hashable) -> int:
        """Drop a key, and return the bytes that this frees."""
        entry = self._drop(key)
        if entry is None:
            return 0
        return entry.size if sys.getrefcount(entry.value) <= _UNSHARED else 0

    def _drop(self, key: Hashable) -> _Entry | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
        return entry

    def _drop_all(self) -> None:
        dropped, self._entries = self._entries, {}  # what is dropped may look at the cache while it goes
        self._deadlines, self._bytes = [], 0
        dropped.clear()


def check_ttl(kind: str, ttl: float | None) -> None:
    """Refuse a lifetime in seconds that is none.

    Raises:
        InvalidRequestError: It is not above 0.
    """
    if ttl is not None and not ttl > 0:
        raise InvalidRequestError(
            f"{kind} got a time to live of {ttl} seconds; allowed: more than 0.",
            "Leave it out to keep entries until room is needed.",
        )
