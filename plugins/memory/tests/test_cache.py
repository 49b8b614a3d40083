from __future__ import annotations

import array
import gc
import threading
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from framework import Framework
from framework.errors import InvalidRequestError, LeaseStateError, ResourceLimitError
from plugin_memory import MemoryCache, MemoryProvider
from plugin_memory.cache import OVERHEAD
from plugin_memory.weighing import weigh

pytestmark = pytest.mark.anyio


class Clock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def cache(provider: MemoryProvider) -> AsyncIterator[MemoryCache]:
    async with await provider.create_cache("c", 10_000) as cache:
        yield cache


@pytest.fixture
def clock(cache: MemoryCache) -> Clock:
    cache._clock = clock = Clock()
    return clock


async def test_what_is_set_is_found_until_it_is_deleted(cache: MemoryCache) -> None:
    cache.set("a", [1])
    assert cache.get("a") == [1]
    assert "a" in cache
    assert len(cache) == 1
    assert cache.items() == [("a", [1])]
    assert list(cache) == ["a"]
    assert cache.pop("a") == [1]
    assert cache.pop("a", "gone") == "gone"
    assert cache.get("a") is None
    cache.set("b", 1)
    assert cache.delete("b")
    assert not cache.delete("b")
    cache.set("c", 1)
    cache.clear()
    assert len(cache) == 0
    assert cache  # empty, but there


async def test_the_least_recently_used_makes_room(cache: MemoryCache) -> None:
    for key in "abc":
        cache.set(key, key, size=3000)
    cache.get("a")
    cache.set("d", "d", size=3000)
    assert list(cache) == ["c", "a", "d"]
    assert cache.statistics().evictions == 1


async def test_more_than_the_bound_is_never_held_nor_taken_for_one_value(cache: MemoryCache) -> None:
    cache.set("a", "old")
    with pytest.raises(ResourceLimitError, match=r"entry of \d+ bytes, but holds at most 10000"):
        cache.set("a", bytes(10_000))
    assert cache.get("a") == "old"


async def test_counts_are_those_of_what_happened(cache: MemoryCache, clock: Clock) -> None:
    cache.set("a", 1, ttl=5)
    cache.get("a")
    cache.get("b")
    clock.now = 5
    cache.get("a")
    found = cache.statistics()
    assert (found.hits, found.misses, found.expirations, found.evictions, found.entries) == (1, 2, 1, 0, 0)
    assert found.hit_ratio == pytest.approx(1 / 3)
    assert found.bytes == 0


async def test_entries_live_as_long_as_the_cache_or_they_say(provider: MemoryProvider) -> None:
    async with await provider.create_cache("c", 10_000, entry_ttl=10) as cache:
        cache._clock = clock = Clock()
        cache.set("short", 1, ttl=5)
        cache.set("default", 2)
        cache.set("ever", 3, ttl=float("inf"))
        clock.now = 5
        assert list(cache) == ["default", "ever"]
        cache.set("default", 4)  # lives anew
        clock.now = 14
        assert cache.get("default") == 4
        clock.now = 15
        assert list(cache) == ["ever"]


async def test_deadlines_of_what_was_replaced_do_not_pile_up(cache: MemoryCache, clock: Clock) -> None:
    for _ in range(10_000):
        cache.set("a", 1, ttl=1000)
    assert len(cache._deadlines) < 200
    clock.now = 1000
    assert "a" not in cache


@pytest.mark.parametrize("wrong", [{"ttl": 0}, {"ttl": -1}, {"ttl": float("nan")}, {"size": -1}])
async def test_wrong_entries_are_refused(cache: MemoryCache, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        cache.set("a", 1, **wrong)


async def test_a_wrong_cache_is_refused(provider: MemoryProvider) -> None:
    with pytest.raises(InvalidRequestError, match="size 0"):
        await provider.create_cache("c", 0)
    with pytest.raises(InvalidRequestError, match=r"memory\.cache got a time to live of 0 seconds"):
        await provider.create_cache("c", 1000, entry_ttl=0)


async def test_a_released_cache_holds_nothing_and_says_so(provider: MemoryProvider) -> None:
    cache = await provider.create_cache("c", 1000)
    cache.set("a", 1)
    await cache.release()
    assert cache.statistics().bytes == 0
    for call in (cache.clear, cache.items, lambda: cache.get("a"), lambda: cache.set("a", 1), lambda: len(cache)):
        with pytest.raises(LeaseStateError, match="was released"):
            call()


async def test_a_use_counts_as_a_use_of_the_lease(cache: MemoryCache) -> None:
    before = cache.lease.used_at
    cache.get("a")
    assert cache.lease.used_at > before


async def test_a_cleanup_drops_the_expired_and_the_least_recently_used_half(cache: MemoryCache, clock: Clock) -> None:
    cache.set("stale", 0, ttl=1)
    for number in range(4):
        cache.set(number, str(number), size=1000)
    clock.now = 1
    cache.shrink()
    assert list(cache) == [2, 3]
    cache.shrink(aggressive=True)
    assert len(cache) == 0


async def test_what_somebody_still_holds_is_not_claimed_as_freed(cache: MemoryCache) -> None:
    held = bytes(bytearray(2000))
    cache.set("held", held)
    cache.set("free", bytes(bytearray(1000)))
    free = OVERHEAD + weigh("free") + weigh(bytes(1000))
    assert cache.shrink(aggressive=True) == free
    assert held == bytes(2000)


async def test_the_host_shrinks_its_caches() -> None:
    async with Framework.from_config({"plugins": {"memory": {"activation": "startup"}}}) as host:
        cache = await host.acquire("memory.cache", size=1 << 20)
        for number in range(100):
            cache.set(number, bytes(bytearray(1000)))
        (outcome,) = (await host.request_cleanup(reason="test")).outcomes
        assert (outcome.participant, outcome.error) == ("memory.cache", "")
        assert len(cache) == 50
        assert outcome.claimed_bytes == cache.statistics().bytes
        await host.request_cleanup(aggressive=True)
        assert len(cache) == 0


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda number: bytes(1000 + number % 7), id="bytes"),
        pytest.param(lambda number: "é" * (500 + number % 7), id="text"),
        pytest.param(lambda number: [number * 1000 + more for more in range(50)], id="lists"),
        pytest.param(lambda number: array.array("d", range(100)), id="arrays"),
        pytest.param(lambda number: {str(number): [str(number), float(number)]}, id="mappings"),
    ],
)
async def test_claimed_bytes_are_those_that_python_gets_back(provider: MemoryProvider, make: Any) -> None:
    async with await provider.create_cache("c", 1 << 24) as cache:
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(4000):
                cache.set(f"key {number}", make(number))
            full = tracemalloc.get_traced_memory()[0]
            claimed = cache.shrink(aggressive=True)
            freed = full - tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert claimed == pytest.approx(freed, rel=0.2)


async def test_sixteen_threads_keep_the_bound_and_lose_no_count(cache: MemoryCache) -> None:
    start = threading.Barrier(16)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            start.wait()
            for number in range(500):
                key = (seed * 31 + number) % 40
                cache.set(key, key, size=300)
                cache.get(key)
                cache.shrink() if number % 100 == 0 else cache.delete(key + 1)
                assert cache.statistics().bytes <= 10_000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = cache.statistics()
    assert found.hits + found.misses == 16 * 500
    assert found.bytes == sum(OVERHEAD + weigh(key) + 300 for key in cache)


async def test_a_finalizer_that_comes_back_does_not_hang(cache: MemoryCache) -> None:
    class Nosy:
        def __del__(self) -> None:
            cache.get("other")
            cache.set("other", 1)

    cache.set("a", Nosy())
    cache.set("a", 2)
    cache.set("b", Nosy())
    cache.clear()
    cache.set("c", Nosy())
    cache.shrink(aggressive=True)
    cache.clear()
    assert cache.statistics().bytes == 0


async def test_a_finalizer_that_sets_the_key_being_set_does_not_spoil_the_count(cache: MemoryCache) -> None:
    class Meddling:
        def __del__(self) -> None:
            cache.set("key", b"of the finalizer")

    cache.set("other", Meddling(), size=1000)
    cache.set("key", bytes(cache.max_bytes - 1000), size=cache.max_bytes - 1000)  # the other one makes room for it
    cache.delete("key")
    assert (len(cache), cache.statistics().bytes) == (0, 0)


def test_each_object_is_weighed_once_and_circles_end() -> None:
    circle: list[object] = [bytes(10_000)]
    circle.append(circle)
    circle.append(circle[0])
    assert 10_000 < weigh(circle) < 10_500
    assert weigh(memoryview(bytes(5000))) >= 5000
    assert weigh(str) == weigh(len) == 0


def test_slots_and_attributes_are_weighed() -> None:
    class Slotted:
        __slots__ = ("held", "unset")

        def __init__(self) -> None:
            self.held = bytes(3000)

    class Plain:
        pass

    slotted, plain = Slotted(), Plain()
    plain.held = bytes(3000)  # type: ignore[attr-defined]
    assert 3000 < weigh(slotted) < 3500
    assert 3000 < weigh(plain) < 3700


def test_a_huge_value_is_estimated_from_a_part_of_it() -> None:
    value = [float(number) for number in range(100_000)]
    assert weigh(value) == pytest.approx(3_200_000, rel=0.35)
