"""What the memory plugin measures, and gives back when memory is short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from plugin_memory.cache import MemoryCache

if TYPE_CHECKING:
    from framework import ResourceProvider

COUNTED = ("memory.shared", "memory.buffer", "memory.cache")
"""The kinds that count against the cap, reported from the start even while nothing is held."""


class MemoryCollector:
    """Measures what a provider's ledger holds, and what its caches do with it.

    Args:
        provider: Whose.
    """

    name = "memory"

    def __init__(self, provider: ResourceProvider) -> None:
        self._provider = provider

    def collect(self) -> Mapping[str, float]:
        """Return `framework_memory_<kind>_bytes` and `…_resources` for each kind, and sums over the caches held now."""
        held = self._provider.ledger.statistics()
        measured: dict[str, float] = {}
        for kind in COUNTED:
            noun = kind.rpartition(".")[2]
            measured[f"framework_memory_{noun}_bytes"] = held.held_bytes_by_kind.get(kind, 0)
            measured[f"framework_memory_{noun}_resources"] = held.held_by_kind.get(kind, 0)
        found = [cache.statistics() for cache in caches(self._provider)]
        for name in ("entries", "hits", "misses", "evictions", "expirations"):
            measured[f"framework_memory_cache_{name}"] = sum(getattr(one, name) for one in found)
        measured["framework_memory_cache_used_bytes"] = sum(one.bytes for one in found)
        return measured


class CacheParticipant:
    """Shrinks a provider's caches when a cleanup is requested.

    Args:
        provider: Whose.
    """

    name = "memory.cache"

    def __init__(self, provider: ResourceProvider) -> None:
        self._provider = provider

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        """Drop what is expired and the least recently used half of each cache, or all; return the bytes freed."""
        return sum(cache.shrink(aggressive=aggressive) for cache in caches(self._provider))


def caches(provider: ResourceProvider) -> Iterator[MemoryCache]:
    """Yield the caches that a provider has lent."""
    return (one for one in provider.lent() if isinstance(one, MemoryCache))
