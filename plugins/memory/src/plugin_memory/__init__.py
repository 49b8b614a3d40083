"""Shared memory, buffers and caches as resources."""

from plugin_memory.buffer import Buffer
from plugin_memory.cache import CacheStatistics, MemoryCache
from plugin_memory.provider import MemoryProvider
from plugin_memory.shared import SharedMemory

__all__ = ["Buffer", "CacheStatistics", "MemoryCache", "MemoryProvider", "SharedMemory"]
