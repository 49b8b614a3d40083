from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from plugin_memory import MemoryProvider
from plugin_memory.cache import OVERHEAD
from plugin_memory.weighing import weigh

BOUND = 2000
keys = st.integers(0, 6)


class CacheMachine(RuleBasedStateMachine):
    """Against a list of (key, value, size, deadline), the least recently used one first."""

    @initialize(ttl=st.sampled_from([None, 4.0]))
    def make(self, ttl: float | None) -> None:
        self.now = 0.0
        self.ttl = ttl
        self.provider = MemoryProvider()
        asyncio.run(self.provider.initialize())
        self.cache = asyncio.run(self.provider.create_cache("c", BOUND, ttl))
        self.cache._clock = lambda: self.now
        self.model: list[tuple[int, int, int, float]] = []
        self.hits = self.misses = self.evictions = self.expirations = 0

    def expire(self) -> None:
        alive = [one for one in self.model if one[3] > self.now]
        self.expirations += len(self.model) - len(alive)
        self.model = alive

    def take(self, key: int) -> tuple[int, int, int, float] | None:
        self.expire()
        found = next((one for one in self.model if one[0] == key), None)
        if found is not None:
            self.model.remove(found)
        return found

    def used(self) -> int:
        return sum(one[2] for one in self.model)

    @rule(key=keys, value=st.integers(), size=st.integers(0, 900), ttl=st.sampled_from([None, 1.0, 9.0]))
    def set(self, key: int, value: int, size: int, ttl: float | None) -> None:
        self.cache.set(key, value, size=size, ttl=ttl)
        self.take(key)
        total = OVERHEAD + weigh(key) + size
        while self.used() + total > BOUND:
            self.model.pop(0)
            self.evictions += 1
        lifetime = self.ttl if ttl is None else ttl
        self.model.append((key, value, total, float("inf") if lifetime is None else self.now + lifetime))

    @rule(key=keys)
    def get(self, key: int) -> None:
        found = self.take(key)
        assert self.cache.get(key, "none") == (found[1] if found else "none")
        self.count(found)
        if found:
            self.model.append(found)

    @rule(key=keys)
    def pop(self, key: int) -> None:
        found = self.take(key)
        assert self.cache.pop(key, "none") == (found[1] if found else "none")
        self.count(found)

    @rule(key=keys)
    def delete(self, key: int) -> None:
        assert self.cache.delete(key) is (self.take(key) is not None)

    @rule(key=keys)
    def contains(self, key: int) -> None:
        self.expire()
        assert (key in self.cache) is any(one[0] == key for one in self.model)

    @rule()
    def clear(self) -> None:
        self.expire()
        self.cache.clear()
        self.model = []

    @rule(aggressive=st.booleans())
    def shrink(self, aggressive: bool) -> None:
        before = self.used()
        self.expire()
        goal = 0 if aggressive else self.used() // 2
        while self.used() > goal:
            self.model.pop(0)
            self.evictions += 1
        assert 0 <= self.cache.shrink(aggressive=aggressive) <= before - self.used()

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def count(self, found: object) -> None:
        self.hits += found is not None
        self.misses += found is None

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "cache"):
            return
        self.expire()
        assert self.cache.items() == [(one[0], one[1]) for one in self.model]
        assert len(self.cache) == len(self.model)
        found = self.cache.statistics()
        assert found.bytes == self.used() <= BOUND
        assert (found.hits, found.misses) == (self.hits, self.misses)
        assert (found.evictions, found.expirations) == (self.evictions, self.expirations)

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            asyncio.run(self.provider.cleanup())


def test_any_sequence_agrees_with_the_model() -> None:
    run_state_machine_as_test(CacheMachine, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))
