"""Shared memory, buffers and caches as resources, and batches that fit into memory."""

from plugin_memory.batch import Batch, BatchSize
from plugin_memory.buffer import Buffer
from plugin_memory.cache import CacheStatistics, MemoryCache
from plugin_memory.manager import MemoryManager
from plugin_memory.provider import MemoryProvider
from plugin_memory.shared import SharedMemory

__all__ = [
    "Batch",
    "BatchSize",
    "Buffer",
    "CacheStatistics",
    "MemoryCache",
    "MemoryManager",
    "MemoryProvider",
    "SharedMemory",
]
