"""A pool of daemon threads that perform tasks: the base of thread pools and of process pools.

In a process pool each thread owns one worker process, speaks with it through pipes of its own, and replaces it when it
dies. So nothing that happens to one worker concerns another, and a pool is made larger and smaller in one place.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Literal, TypeVar

from framework import get_logger
from framework.errors import InvalidRequestError, ResourceLimitError
from plugin_executors import forks
from plugin_executors.chunks import Chunk, Item
from plugin_executors.executor import foreign, released
from plugin_executors.mapping import TaskMap

T = TypeVar("T")

Task = tuple[Any, ...]
"""A future, and what `_call` gets besides the seat."""


_log = get_logger()

_PAUSE_S = 5.0
"""Seconds before a pool is looked at again whose size could not be decided about."""


class _Word:
    """What a thread finds in the queue instead of a task."""


_LOOK, _IDLE, _END = _Word(), _Word(), _Word()
"""That there may be too many threads, that nothing came for long, and that the pool is shut down."""


class WorkerPool(Executor, ABC):
    """Runs calls in up to `workers` threads, each started when no other is free.

    Args:
        name: What it is called; its threads are named after it.
        workers: Most tasks that run at once.
        idle_s: Seconds after which a thread that has nothing to do ends; None to keep it.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, workers: int, idle_s: float | None = None) -> None:
        self.name = name
        self.workers = workers
        self.idle_s = idle_s
        self.ended: Future[None] = Future()  # done when the last thread is about to end after shutdown
        self.unfinished = 0
        self.completed = 0
        self.lulls = 0
        """How often there was nothing to do at all."""
        self.tick: Callable[[float], float] | None = None
        self.tick_at = math.inf
        self._tasks: SimpleQueue[Task | _Word] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._working = 0  # threads that take tasks
        self._present = 0  # these, and those that are about to end
        self._numbers = itertools.count(1)
        self._closing = False
        self._foreign = False
        forks.remember(self)

    def resize(self, workers: int) -> None:
        """Change how many tasks run at once. Nothing is interrupted: who is too many ends after its task.

        Raises:
            InvalidRequestError: It is less than 1.
        """
        if workers < 1:
            raise InvalidRequestError(
                f"{self.kind} {self.name!r} got workers={workers}; the least allowed is 1.",
                "Release the executor to have no workers.",
                resource=self.name,
            )
        with self._lock:
            self.workers = workers
            if self._closing:
                return
            for _ in range(self._working - workers):
                self._tasks.put(_LOOK)
            while self._working < min(workers, self.unfinished) and self._grow():
                pass

    def map(
        self,
        function: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | Literal["auto"] = "auto",
    ) -> TaskMap[T]:
        """Call a function with each set of arguments and return an iterator of the results, in order; see `TaskMap`."""
        return TaskMap(self, function, iterables, timeout=timeout, chunksize=chunksize)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; let the threads end after the queued ones, or after the running ones."""
        with self._lock:
            self._closing = True
            queued = self._take_queued() if cancel_futures else []
            for _ in range(self._working):
                self._tasks.put(_END)
            if not self._present and not self.ended.done():
                self.ended.set_result(None)
        for future in queued:  # outside the lock: a callback may come back to this pool
            future.cancel()
            future.set_running_or_notify_cancel()
        if wait:
            self.join()

    def join(self, timeout: float | None = None) -> None:
        """Wait for every thread, for each at most so many seconds."""
        for thread in list(self._threads):
            thread.join(timeout)

    def stop(self, grace: float, *, force: bool) -> None:
        """Interrupt running tasks after so many seconds, where that can be done: it cannot with threads."""

    def count(self, tasks: int) -> None:
        """Add to the tasks that were completed, for chunks of several."""
        with self._lock:
            self.completed += tasks

    def memory_each(self) -> int:
        """Return about how many bytes a worker takes, 0 where that is not known."""
        return 0

    def alive(self) -> list[threading.Thread]:
        """Return the threads that have not ended."""
        return [thread for thread in list(self._threads) if thread.is_alive()]

    def forget(self) -> None:
        """Become unusable in a forked child, where the threads are not, without touching what is the parent's."""
        self._lock = threading.Lock()
        self._tasks = SimpleQueue()
        self._threads, self._working, self._present = [], 0, 0
        self._closing = self._foreign = True

    def _enqueue(self, task: Task) -> None:
        with self._lock:
            if self._closing:
                raise foreign(self.kind, self.name) if self._foreign else released(self.kind, self.name)
            if self.unfinished >= self._working < self.workers:
                self._grow()
            if not self.unfinished:
                self.lulls += 1
            self.unfinished += 1
            self._tasks.put(task)

    def _grow(self) -> bool:
        try:
            seat = self._seat()
            thread = threading.Thread(
                target=self._work, args=(seat,), name=f"{self.name}-{next(self._numbers)}", daemon=True
            )
            try:
                thread.start()
            except BaseException:  # Ctrl-C may come when the thread has started: it ends then, as it is not counted
                self._vacate(seat)
                raise
        except (RuntimeError, OSError) as error:
            if self._working:
                return False  # the others will get to the task
            raise ResourceLimitError(
                f"{self.kind} {self.name!r} could not start its first worker: {error}.",
                "Raise the limits on processes, threads and open files (ulimit -u, pids.max, ulimit -n), or end some.",
                resource=self.name,
            ) from error
        self._working += 1
        self._present += 1
        self._threads.append(thread)
        return True

    def _take_queued(self) -> list[Future[Any]]:
        futures: list[Future[Any]] = []
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                self.unfinished -= len(futures)
                return futures
            if not isinstance(task, _Word):
                futures.append(task[0])

    def _work(self, seat: Any) -> None:
        with self._lock:  # which whoever starts this thread holds until it is counted
            if threading.current_thread() not in self._threads:
                return None
        take = self._tasks.get
        while True:
            try:
                task = take(timeout=self.idle_s)
            except Empty:
                task = _IDLE
            if not isinstance(task, _Word):
                try:
                    self._perform(seat, *task)
                except BaseException as error:  # noqa: BLE001 - a callback's SystemExit must not cost the pool this thread
                    _log.warning("pool_callback_failed", pool=self.name, error=repr(error))
                if time.monotonic() >= self.tick_at:
                    self._look(time.monotonic())
                if self._working <= self.workers:
                    del task  # an idle thread must not keep arguments and results alive
                    continue
            if self._leaves(task):
                return self._end(seat)
            del task

    def _leaves(self, last: Task | _Word) -> bool:
        """Return whether this thread is to end; if so, it takes no more tasks."""
        with self._lock:
            surplus = self._working > self.workers
            idle = last is _IDLE and self._tasks.empty()
            if last is not _END and not surplus and not idle:
                return False
            self._working -= 1
            return True

    def _end(self, seat: Any) -> None:
        self._vacate(seat)
        with self._lock:
            self._present -= 1
            last = self._closing and not self._present and not self.ended.done()
            if not self._closing:
                self._threads.remove(threading.current_thread())
        if last:
            self.ended.set_result(None)

    def _perform(self, seat: Any, future: Future[Any], *call: Any) -> None:
        if not future.set_running_or_notify_cancel():
            self._finish()
            return
        try:
            result = self._call(seat, *call)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits for the future
            self._finish()
            future.set_exception(error)
            del future  # the traceback refers to this frame: without this there is a cycle
        else:
            self._finish()
            future.set_result(result)

    def _finish(self) -> None:
        # before the outcome is known: who acts on it at once must find this thread free
        with self._lock:
            self.unfinished -= 1
            self.completed += 1

    def _look(self, now: float) -> None:
        with self._lock:
            due, self.tick_at = self.tick_at <= now, math.inf if self.tick_at <= now else self.tick_at
        if due and self.tick is not None:
            try:
                self.tick_at = self.tick(now)
            except Exception as error:  # noqa: BLE001 - tasks matter more than how many run at once
                self.tick_at = now + _PAUSE_S
                _log.warning("pool_resize_failed", pool=self.name, error=str(error))

    @abstractmethod
    def submit_chunk(self, function: Callable[..., Any], items: list[Item], context: Context | None) -> Future[Chunk]:
        """Queue calls as one task, which is not repeated when it ends its worker unless it is only one call."""

    @abstractmethod
    def failure(self, entry: Any, function: Callable[..., Any]) -> BaseException:
        """Return the exception that stands in a chunk's `errors`."""

    def _seat(self) -> Any:
        """Make what a thread works with."""

    def _vacate(self, seat: Any) -> None:
        """Give back what a thread worked with."""

    @abstractmethod
    def _call(self, seat: Any, *call: Any) -> Any:
        """Perform a task with what a thread works with, and return its result."""
