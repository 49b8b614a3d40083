from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import (
    ResourceUnavailableError,
)
from plugin_memory import MemoryProvider, SharedMemory, shm


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{shm.segment_name(name)}")


names = st.sampled_from(["a", "b"])
operations = st.one_of(
    st.tuples(st.just("create"), names, st.booleans()),
    st.tuples(
        st.sampled_from(["attach", "remove", "write", "release", "release_attached"]), names, st.just(value=False)
    ),
)


class Model:
    """What ought to exist: the segments by name, and who maps which generation of them."""

    def __init__(self, provider: MemoryProvider, prefix: str) -> None:
        self.provider = provider
        self.prefix = prefix
        self.present: dict[str, int] = {}  # name -> generation
        self.held: dict[str, list[tuple[SharedMemory, int, bool]]] = {"a": [], "b": []}
        self.attached: dict[str, list[tuple[SharedMemory, int]]] = {"a": [], "b": []}
        self.contents: dict[int, int] = {}
        self.generations = 0

    async def apply(self, operation: str, name: str, persistent: bool) -> None:
        full = self.prefix + name
        if operation in {"attach", "remove"} and name not in self.present:
            with pytest.raises(ResourceUnavailableError):
                await getattr(self.provider, f"{operation}_shared_memory")(full)
        elif operation == "create" and name in self.present:
            with pytest.raises(ResourceUnavailableError):
                await self.provider.create_shared_memory(full, 10, persistent)
        elif operation == "create":
            self.generations += 1
            self.present[name] = self.generations
            self.contents[self.generations] = 0
            memory = await self.provider.create_shared_memory(full, 10, persistent)
            self.held[name].append((memory, self.generations, persistent))
        elif operation == "attach":
            self.attached[name].append((await self.provider.attach_shared_memory(full), self.present[name]))
        elif operation == "remove":
            await self.provider.remove_shared_memory(full)
            del self.present[name]
        elif operation == "write" and self.held[name]:
            memory, generation, _ = self.held[name][-1]
            self.contents[generation] = (self.contents[generation] + 1) % 256
            memory.buffer[0] = self.contents[generation]
        elif operation == "release" and self.held[name]:
            memory, generation, kept = self.held[name].pop()
            await memory.release()
            if not kept and self.present.get(name) == generation:
                del self.present[name]
        elif operation == "release_attached" and self.attached[name]:
            await self.attached[name].pop()[0].release()

    def check(self) -> None:
        assert {name for name in "ab" if exists(self.prefix + name)} == set(self.present)
        for name in "ab":
            mapped = [*self.attached[name], *((memory, generation) for memory, generation, _ in self.held[name])]
            for memory, generation in mapped:
                assert memory.buffer[0] == self.contents[generation]
        assert self.provider.ledger.statistics().held_bytes == 10 * sum(len(held) for held in self.held.values())


@settings(max_examples=150, deadline=None)
@given(sequence=st.lists(operations, max_size=25))
def test_any_sequence_leaves_exactly_what_was_meant_to_stay(sequence: list[tuple[str, str, bool]]) -> None:
    async def play() -> None:
        provider = MemoryProvider()
        await provider.initialize()
        model = Model(provider, f"model{os.getpid()}")
        try:
            for step in sequence:
                await model.apply(*step)
                model.check()
        finally:
            await provider.cleanup()
            kept = {name for name in "ab" if exists(model.prefix + name)}
            for name in kept:
                await provider.remove_shared_memory(model.prefix + name)
        lent = {
            name: {generation for _, generation, kept_on in held if not kept_on} for name, held in model.held.items()
        }
        assert kept == {name for name, generation in model.present.items() if generation not in lent[name]}

    asyncio.run(play())
