"""The asynchronous twins of what a `ConcurrencyManager` does, for asyncio."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar, Unpack

from plugin_executors.executor import dropped
from plugin_executors.mapping import AsyncTaskMap, MapOptions, TaskMap
from plugin_executors.outcome import Dropped, outcome

P = ParamSpec("P")
T = TypeVar("T")


class AsyncConcurrency(ABC):
    """Awaits what the synchronous methods return, without blocking the loop."""

    @abstractmethod
    def run_in_thread_pool(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call for a thread."""

    @abstractmethod
    def run_in_process_pool(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call for a process."""

    @abstractmethod
    def map_tasks_in_thread_pool(
        self, function: Callable[..., T], *iterables: Iterable[Any], **options: Unpack[MapOptions]
    ) -> TaskMap[Any]:
        """Call a function in threads with each set of arguments."""

    @abstractmethod
    def map_tasks_in_process_pool(
        self, function: Callable[..., T], *iterables: Iterable[Any], **options: Unpack[MapOptions]
    ) -> TaskMap[Any]:
        """Call a function in processes with each set of arguments."""

    async def run_in_thread_pool_async(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread and return what it returns; what it raises is raised here.

        Cancelling the caller cancels a task that is queued; one that runs goes on, and its outcome is dropped.
        """
        return await _result(self.run_in_thread_pool(function, *args, **kwargs), "executor.thread", function)

    async def run_in_process_pool_async(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a process and return what it returns; otherwise as `run_in_thread_pool_async`."""
        return await _result(self.run_in_process_pool(function, *args, **kwargs), "executor.process", function)

    def map_tasks_in_thread_pool_async(
        self, function: Callable[..., T], *iterables: Iterable[Any], **options: Unpack[MapOptions]
    ) -> AsyncTaskMap[Any]:
        """Return an asynchronous iterator; the options are those of `map_tasks_in_thread_pool`."""
        return AsyncTaskMap(self.map_tasks_in_thread_pool(function, *iterables, **options))

    def map_tasks_in_process_pool_async(
        self, function: Callable[..., T], *iterables: Iterable[Any], **options: Unpack[MapOptions]
    ) -> AsyncTaskMap[Any]:
        """Return an asynchronous iterator; the options are those of `map_tasks_in_process_pool`."""
        return AsyncTaskMap(self.map_tasks_in_process_pool(function, *iterables, **options))


async def _result(future: Future[T], kind: str, function: Callable[..., Any]) -> T:
    waiting = outcome(future)
    del future  # a raised exception refers to this frame, and the future to the exception
    try:
        return await waiting
    except Dropped as error:
        raise dropped(kind, "concurrency", function) from error
