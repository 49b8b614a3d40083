"""Batches that fit into memory, learnt from real work."""

from __future__ import annotations

import itertools
import math
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from framework import Framework, ResourceManager, limits
from framework.errors import InvalidRequestError, ResourceLimitError
from plugin_memory import Batch, MemoryManager
from plugin_memory.learning import CLEAN, REACH, Workload
from plugin_memory.manager import Request, _chosen

ITEM = 20_000
Script = Callable[..., dict[str, Any]]

needs_figures = pytest.mark.skipif(not limits.resident_bytes(), reason="this system does not say what is resident")


def blocks(items: Iterable[object]) -> list[bytearray]:
    return [bytearray(b"x") * ITEM for _ in items]


class Choosing(RuleBasedStateMachine):
    """Batches of any sort, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.workload = Workload()
        self.clean, self.ceilings = 0, [math.inf]

    @rule(items=st.integers(1, 10_000), each=st.floats(0, 1e6))
    def goes_well(self, items: int, each: float) -> None:
        self.workload.learn(items, int(items * each))
        self.ceilings.append(self.workload.ceiling)

    @rule(items=st.integers(1, 10_000))
    def fails(self, items: int) -> None:
        former = self.workload.ceiling
        self.workload.trouble(items)
        assert self.workload.ceiling == max(1, min(former, items) // 2)
        self.ceilings.append(self.workload.ceiling)

    @rule(
        least=st.integers(1, 500),
        more=st.integers(0, 500),
        most=st.none() | st.integers(1000, 10**6),
        headroom=st.none() | st.integers(0, 1 << 35),
        budget=st.none() | st.integers(1, 1 << 35),
    )
    def choose(self, least: int, more: int, most: int | None, headroom: int | None, budget: int | None) -> None:
        request = Request(least + more, least, most, budget, "")
        each = self.workload.bytes_per_item()
        try:
            found = _chosen(request, self.workload, headroom)
        except ResourceLimitError:
            assert budget is not None
            assert each * least > budget
            return
        assert least <= found.size <= (most or request.base)
        assert found.reason
        assert budget is None or found.size * each <= budget * 1.000001 or not self.workload.measured
        if found.size > least and self.workload.measured:
            assert headroom is None or found.size * each <= headroom / 2 * 1.000001
            assert found.size <= max(request.base, REACH * self.workload.largest)
            assert found.size <= self.workload.ceiling

    @invariant()
    def a_ceiling_rises_slowly(self) -> None:
        for former, later in itertools.pairwise(self.ceilings):
            assert later <= max(former * 1.1, former + 1)


TestChoosing = Choosing.TestCase


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 10**6)), min_size=1, max_size=60))
def test_most_items_take_no_more_than_what_is_taken_for_an_item(samples: list[tuple[int, int]]) -> None:
    workload = Workload()
    for items, used in samples:
        workload.learn(items, used)
    each, total = workload.bytes_per_item(), sum(items for items, _ in samples)
    assert sum(items for items, used in samples if used / items <= each) >= 0.95 * total * 0.999999
    if len({items for items, _ in samples}) == 1:
        assert any(used / items == each for items, used in samples)


def test_what_was_free_already_is_not_mistaken_for_what_is_not_needed() -> None:
    workload = Workload()
    for items in (1000, 2000, 4000):
        workload.learn(items, items * 100 - 90_000)
    assert workload.bytes_per_item() == 100


def test_a_ceiling_rises_by_a_tenth_after_five_good_batches() -> None:
    workload = Workload()
    workload.trouble(200)
    for _ in range(CLEAN - 1):
        workload.learn(100, 100)
    assert workload.ceiling == 100
    workload.learn(100, 100)
    assert workload.ceiling == pytest.approx(110)


def test_before_anything_is_measured_the_base_is_chosen() -> None:
    manager = MemoryManager()
    assert manager.optimize_batch_size(base_batch_size=64, min_batch_size=16) == 64
    assert manager.optimize_batch_size(64, 16, 1000) == 64
    assert manager.reason == "base_batch_size; nothing was measured yet"
    assert manager.explain("never") is None
    manager.close()


@needs_figures
@pytest.mark.parametrize("kept", [False, True], ids=["dropped", "kept"])
def test_the_size_is_near_the_best_after_five_batches(kept: bool) -> None:
    manager, budget = MemoryManager(), 64 << 20
    results: list[object] = []
    sizes: list[int] = []
    for batch in manager.batches(itertools.count(), 64, 1, 10**6, budget=budget):
        if len(sizes) == 5:
            break
        with batch:
            results.append(blocks(batch))
        if not kept:
            results.clear()
        sizes.append(len(batch))
    best = budget / (ITEM + 100)
    chosen = manager.explain()
    assert chosen is not None
    assert best * 0.8 < chosen.size < best * 1.1, (sizes, chosen)
    assert "the budget of 67108864 bytes hold so many items" in chosen.reason
    manager.close()


@needs_figures
def test_what_a_with_block_takes_is_learnt_under_its_name() -> None:
    manager = MemoryManager()
    for _ in range(2):
        with manager.measured(1000, name="images"):
            held = blocks(range(1000))
        del held
    assert manager.optimize_batch_size(10**5, 1, name="images", budget=20_000_000) in range(800, 1001)
    assert manager.optimize_batch_size(10**5, 1, name="other", budget=20_000_000) == 10**5
    with pytest.raises(ResourceLimitError, match=r"A batch of 5000, the least allowed, takes \d+ bytes, more than"):
        manager.optimize_batch_size(10**5, 5000, name="images", budget=20_000_000)
    with pytest.raises(MemoryError), manager.measured(100, name="images"):
        raise MemoryError
    assert manager.optimize_batch_size(10**5, 1, name="images") == 50
    assert "halved when memory was short" in manager.reason
    manager.close()


def test_every_item_comes_once_and_in_order() -> None:
    manager = MemoryManager()
    found = [list(batch) for batch in manager.batches(range(1000), 64)]
    assert list(itertools.chain(*found)) == list(range(1000))
    assert {len(one) for one in found[:-1]} == {64}
    assert list(manager.batches([], 5)) == []
    manager.close()


def test_a_batch_that_runs_out_of_memory_comes_again_in_halves() -> None:
    manager, tried = MemoryManager(), []

    def work(batch: list[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > 10:
            raise MemoryError
        return [2 * one for one in batch]

    found = list(manager.map_batches(work, range(200), base_batch_size=64))
    assert list(itertools.chain(*found)) == [2 * one for one in range(200)]
    assert tried[:4] == [64, 32, 16, 8]
    assert max(tried[4:]) <= 11, "it rises by a tenth, and is halved again"
    manager.close()


def test_a_with_block_says_whether_its_batch_comes_again() -> None:
    manager, done = MemoryManager(), []
    batches = manager.batches("abcdefgh", 8, 2)
    for batch in batches:
        assert isinstance(batch, Batch)
        with batch:
            if len(batch) > 3:
                raise MemoryError
        done.append((batch.done, "".join(batch)))
    assert done == [(False, "abcdefgh"), (False, "abcd"), (True, "ab"), (True, "cd"), (True, "ef"), (True, "gh")]
    (other,) = manager.batches("ab", 2)
    with pytest.raises(ZeroDivisionError), other:
        1 / 0  # noqa: B018 - it raises
    manager.close()


def test_the_least_batch_that_does_not_fit_is_the_callers() -> None:
    manager = MemoryManager()

    def work(batch: list[int]) -> None:
        raise MemoryError

    with pytest.raises(MemoryError) as caught:
        list(manager.map_batches(work, range(100), 16, 4))
    assert caught.value.__notes__ == ["A batch of 4, the least that was allowed, does not fit into memory."]
    manager.close()


def test_memory_that_is_really_out_is_survived(run: Script) -> None:
    found = run(
        """
        import itertools, resource
        from plugin_memory import MemoryManager
        resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
        def work(batch):
            return sum(map(len, [bytearray(1 << 20) for _ in batch]))
        found = list(MemoryManager().map_batches(work, range(2000), 1000, 1))
        report(total=sum(found), largest=max(found), batches=len(found))
        """
    )
    assert found["total"] == 2000 << 20
    assert found["largest"] < 600 << 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 1), "base_batch_size is 0; the least allowed is 1"),
        ((64, -1), "min_batch_size is -1; the least allowed is 1"),
        ((64, 65), "min_batch_size is 65, but base_batch_size is 64; allowed: at most that"),
        ((64, 16, 63), "base_batch_size is 64, but max_batch_size is 63"),
        ((64, 16, 0), "max_batch_size is 0"),
        ((64.0, 16), "base_batch_size is 64.0, a float; allowed: a whole number above 0"),
        ((True, 1), "base_batch_size is True, a bool"),
        (("64", 16), "base_batch_size is '64', a str"),
        ((64, None), "min_batch_size is None, a NoneType"),
    ],
)
def test_sizes_that_are_none_are_refused_by_name(arguments: tuple[Any, ...], said: str) -> None:
    manager = MemoryManager()
    with pytest.raises(InvalidRequestError, match=said.replace(".", r"\.")):
        manager.optimize_batch_size(*arguments)
    with pytest.raises(InvalidRequestError):
        manager.batches([], *arguments)  # at once, not when the first batch is asked for
    with pytest.raises(InvalidRequestError):
        manager.map_batches(blocks, [], *arguments)


def test_what_is_no_work_is_refused_by_name() -> None:
    manager, nothing = MemoryManager(), None
    with pytest.raises(InvalidRequestError, match="items None, a NoneType; expected an iterable"):
        manager.batches(nothing, 1)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InvalidRequestError, match="map_batches got 7; expected a function"):
        manager.map_batches(7, [], 1)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InvalidRequestError, match="budget is -5"):
        manager.optimize_batch_size(2, 1, budget=-5)
    with pytest.raises(InvalidRequestError, match="items is 0"), manager.measured(0):
        pass
    with pytest.raises(InvalidRequestError, match="items is 0"):
        manager.learn(0, 1)
    with pytest.raises(InvalidRequestError, match="used is -1"):
        manager.learn(1, -1)


def test_what_was_measured_elsewhere_is_learnt() -> None:
    manager = MemoryManager()
    manager.learn(100, 100 * ITEM, "rows")
    assert manager.optimize_batch_size(10, 1, 10_000, budget=50 * ITEM, name="rows") == 50
    assert manager.optimize_batch_size(10, 1, 10_000, budget=50 * ITEM, name="others") == 10


def test_many_threads_may_ask_at_once() -> None:
    manager = MemoryManager()
    found: list[int] = []

    def work() -> None:
        for batch in manager.batches(range(500), 10, name="shared"):
            with batch:
                found.extend(batch)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == sorted(list(range(500)) * 8)
    manager.close()


@pytest.mark.anyio
async def test_pressure_halves_what_is_chosen() -> None:
    async with Framework.from_config({"plugins": {"memory": {}}}) as host:
        manager = await host.service("memory_manager")
        assert isinstance(manager, MemoryManager)
        assert manager.optimize_batch_size(64, 1) == 64
        plugin: Any = host.plugins.get_plugin("memory")
        plugin.pressure_changed(level="warning", former="normal")
        assert manager.optimize_batch_size(64, 1) == 32
        plugin.pressure_changed(level="critical", former="warning")
        assert manager.optimize_batch_size(64, 1) == 16
        plugin.pressure_changed(level="normal", former="critical")
        assert manager.optimize_batch_size(64, 1) == 16
        assert "halved when memory was short" in manager.reason


def test_the_manager_of_resources_hands_it_out() -> None:
    with ResourceManager({"plugins": {"memory": {}}}) as manager:
        assert manager.memory_manager.optimize_batch_size(base_batch_size=64, min_batch_size=16) == 64


@pytest.mark.parametrize("field", ["base_batch_size", "min_batch_size", "max_batch_size", "budget"])
def test_numbers_that_no_machine_can_hold_are_refused_by_name(field: str) -> None:
    given: dict[str, Any] = {"base_batch_size": 1, "min_batch_size": 1}
    with pytest.raises(InvalidRequestError, match=rf"{field} has \d+ bits"):
        MemoryManager().optimize_batch_size(**given | {field: 10**5000})
    assert MemoryManager().optimize_batch_size(1, 1, sys.maxsize, budget=sys.maxsize) == 1
