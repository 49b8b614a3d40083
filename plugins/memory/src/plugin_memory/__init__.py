"""Shared memory and buffers as resources."""

from plugin_memory.buffer import Buffer
from plugin_memory.provider import MemoryProvider
from plugin_memory.shared import SharedMemory

__all__ = ["Buffer", "MemoryProvider", "SharedMemory"]
