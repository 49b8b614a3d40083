"""A process pool under any order of tasks, killed workers, changes of size, cancellations and closing."""

import os
import signal
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from framework.errors import InvalidRequestError, ResourceError
from plugin_executors import WorkerDiedError
from plugin_executors.process_pool import ProcessPool

WAIT = 60


class PoolMachine(RuleBasedStateMachine):
    """Every task ends, in the way that it must, whatever happens to the workers meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ProcessPool("pool", 2, attempts=2)
        self.closed = False
        self.good: list[tuple[Future[int], int]] = []
        self.deadly: list[Future[Any]] = []

    @rule(number=st.integers(-99, 99))
    def submit(self, number: int) -> None:
        if self.closed:
            with pytest.raises(ResourceError, match="is released"):
                self.pool.submit(abs, number)
        else:
            self.good.append((self.pool.submit(abs, number), abs(number)))

    @precondition(lambda self: not self.closed)
    @rule()
    def submit_deadly(self) -> None:
        self.deadly.append(self.pool.submit(os._exit, 3))

    @precondition(lambda self: not self.closed)
    @rule(numbers=st.lists(st.integers(-99, 99), max_size=20), chunksize=st.integers(1, 5))
    def run_map(self, numbers: list[int], chunksize: int) -> None:
        assert list(self.pool.map(abs, numbers, chunksize=chunksize)) == list(map(abs, numbers))

    @rule(which=st.integers(0, 3))
    def kill_a_worker(self, which: int) -> None:
        # not one that runs a good task: two kills would be the end of that
        wait([future for future, _ in self.good], WAIT)
        workers = self.pool.workers_alive()
        if workers:
            workers[which % len(workers)].signal(signal.SIGKILL)

    @rule(workers=st.integers(0, 4))
    def resize(self, workers: int) -> None:
        if workers:
            self.pool.resize(workers)
        else:
            with pytest.raises(InvalidRequestError):
                self.pool.resize(workers)

    @precondition(lambda self: self.good)
    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        self.good[which % len(self.good)][0].cancel()

    @precondition(lambda self: self.good)
    @rule(which=st.integers(0, 99))
    def take_a_result(self, which: int) -> None:
        future, expected = self.good[which % len(self.good)]
        if not future.cancelled():
            assert future.result(WAIT) == expected

    @rule(cancel=st.booleans())
    def close(self, cancel: bool) -> None:
        self.pool.shutdown(wait=False, cancel_futures=cancel)
        self.closed = True

    @invariant()
    def there_are_no_more_workers_than_were_asked_for_and_no_fewer_tasks_than_none(self) -> None:
        assert self.pool.unfinished >= 0
        assert self.pool._working <= 4

    def teardown(self) -> None:
        for future, expected in self.good:
            try:
                assert future.result(WAIT) == expected
            except CancelledError:
                assert future.cancelled()
        for future in self.deadly:
            try:
                error = future.exception(WAIT)
            except CancelledError:
                continue
            assert isinstance(error, WorkerDiedError)
            assert [death.returncode for death in error.deaths][-1] in {3, -signal.SIGKILL}
        self.pool.shutdown(wait=True)
        assert self.pool.unfinished == 0
        assert self.pool.workers_alive() == []
        assert self.pool.alive() == []


def test_every_task_ends_as_it_must() -> None:
    run_state_machine_as_test(PoolMachine, settings=settings(max_examples=8, stateful_step_count=15))


@pytest.mark.slow
def test_every_task_ends_as_it_must_in_many_runs() -> None:
    run_state_machine_as_test(PoolMachine, settings=settings(max_examples=40, stateful_step_count=25))
