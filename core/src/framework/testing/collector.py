"""`CollectorContract`: what every metrics collector must do, as a pytest class to subclass."""

from __future__ import annotations

import concurrent.futures
import math
import time

import pytest

from framework.protocols import MetricsCollector
from framework.testing.surroundings import Surroundings
from framework.testing.traces import Traces


class CollectorContract(Surroundings):
    """Subclass it, and give a collector that is ready to be asked."""

    budget_ms = 20.0
    """Most milliseconds that one answer may take: it is given on the event loop, where it must not block."""

    @pytest.fixture
    def collector(self) -> MetricsCollector:
        """The collector; override it."""
        pytest.fail(f"{type(self).__name__} gives no collector; override the fixture `collector`.")

    def test_it_has_the_shape_of_a_collector(self, collector: MetricsCollector) -> None:
        """It has a name and the method `collect`."""
        assert isinstance(collector, MetricsCollector)
        assert isinstance(collector.name, str)
        assert collector.name.strip()

    def test_it_measures_numbers_by_name(self, collector: MetricsCollector) -> None:
        """Each measurement has a name and is a finite number."""
        for name, value in collector.collect().items():
            assert isinstance(name, str)
            assert name.strip()
            assert isinstance(value, (int, float))
            assert not isinstance(value, bool), name
            assert math.isfinite(value), name

    def test_its_names_stay_the_same(self, collector: MetricsCollector) -> None:
        """Asked again it has the same measurements; one that comes and goes cannot be watched."""
        assert set(collector.collect()) == set(collector.collect())

    def test_an_answer_belongs_to_whom_it_was_given(self, collector: MetricsCollector) -> None:
        """Changing an answer changes no later one."""
        first = collector.collect()
        if isinstance(first, dict):
            first["surely_unknown"] = -1.0
        assert "surely_unknown" not in collector.collect()

    def test_it_answers_in_time(self, collector: MetricsCollector) -> None:
        """It answers within `budget_ms`; the best of five answers counts."""
        best = float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            collector.collect()
            best = min(best, time.perf_counter() - begin)
        assert best * 1000 <= self.budget_ms

    def test_it_can_be_asked_from_any_thread(self, collector: MetricsCollector) -> None:
        """Four threads at once get the same measurements as one."""
        expected = set(collector.collect())
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(collector.collect) for _ in range(40)]
            assert [one for one in answers if set(one.result()) != expected] == []

    def test_it_leaves_nothing(self, collector: MetricsCollector) -> None:
        """A hundred answers cost no thread, descriptor, child or temporary file."""
        collector.collect()
        before = Traces.now()
        for _ in range(100):
            collector.collect()
        assert before.left() == {}
