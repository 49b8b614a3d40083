"""The process pool: one worker's death costs one task, at most.

A task is pickled when it is submitted, so what happens to its arguments later does not matter, and what cannot be
pickled is refused at once.
"""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from typing import Any, ParamSpec, TypeVar

from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError
from plugin_executors.bounds import resident
from plugin_executors.chunks import Chunk, Item
from plugin_executors.deaths import Death, WorkerDiedError
from plugin_executors.executor import title
from plugin_executors.frames import RAISED, RESULT, UNLOADABLE
from plugin_executors.showing import shown
from plugin_executors.unpicklable import culprit, pickles, said
from plugin_executors.worker import run_items
from plugin_executors.worker_pool import WorkerPool
from plugin_executors.worker_process import WorkerGoneError, WorkerProcess

P = ParamSpec("P")
T = TypeVar("T")


class RemoteTraceback(Exception):  # noqa: N818 - no error of its own: the cause of one, with its place in the worker
    """Where in the worker an exception was raised."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class _Seat:
    """The place of one worker, which is replaced when it dies."""

    def __init__(self) -> None:
        self.worker: WorkerProcess | None = WorkerProcess()


class ProcessPool(WorkerPool):
    """Runs calls in worker processes.

    Args:
        name: What it is called.
        workers: Most tasks that run at once.
        attempts: How many workers a task may end before it fails.
        idle_s: Seconds after which a worker that has nothing to do ends; None to keep it.
    """

    kind = "executor.process"

    def __init__(self, name: str, workers: int, attempts: int = 3, idle_s: float | None = None) -> None:
        super().__init__(name, workers, idle_s)
        self._attempts = attempts
        self._seats: set[_Seat] = set()
        self._stopped: float | None = None  # seconds that running tasks were given to end

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call.

        Raises:
            InvalidRequestError: The function or an argument cannot be pickled; the message names it.
            ResourceError: The pool was shut down.
            ResourceLimitError: The system refuses even the first process.
        """
        future: Future[T] = Future()
        self._enqueue((future, self._pickled(function, function, args, kwargs), function, self._attempts))
        return future

    def submit_chunk(self, function: Callable[..., Any], items: list[Item], context: Context | None) -> Future[Chunk]:
        """Queue calls as one task, which is not repeated when it ends its worker unless it is only one call."""
        future: Future[Chunk] = Future()
        task = self._pickled(function, run_items, (function, items), {})
        self._enqueue((future, task, function, self._attempts if len(items) == 1 else 1))
        return future

    def failure(self, entry: Any, function: Callable[..., Any]) -> BaseException:
        """Return the exception that stands in a chunk's `errors`."""
        try:
            kind, body = entry
            self._result(kind, body, function)
        except BaseException as error:  # noqa: BLE001 - that is what was asked for
            return error
        raise AssertionError(entry)

    def workers_alive(self) -> list[WorkerProcess]:
        """Return the worker processes that were started and have not ended."""
        return [worker for seat in list(self._seats) if (worker := seat.worker) is not None]

    def memory_each(self) -> int:
        """Return about how many bytes a worker takes, 0 where that is not known."""
        found = [size for worker in self.workers_alive() if (size := resident(worker.pid))]
        return sum(found) // len(found) if found else 0

    def stop(self, grace: float, *, force: bool) -> None:
        """Terminate the workers, or kill them; what they run fails, and is not tried again."""
        self._stopped = grace
        for worker in self.workers_alive():
            worker.signal(signal.SIGKILL if force else signal.SIGTERM)

    def forget(self) -> None:
        """Become unusable in a forked child, and close its copies of the pipes, which would keep workers alive."""
        super().forget()
        for worker in self.workers_alive():
            worker.abandon()
        self._seats = set()

    def _seat(self) -> _Seat:
        seat = _Seat()
        self._seats.add(seat)
        return seat

    def _vacate(self, seat: _Seat) -> None:
        if seat.worker is not None:
            seat.worker.leave()
        self._seats.discard(seat)

    def _call(self, seat: _Seat, *call: Any) -> Any:
        task, function, attempts = call
        deaths: list[Death] = []
        found = seat.worker  # it may have died while it was idle
        while True:
            worker = seat.worker or self._replacement(seat)
            try:
                kind, body = worker.call(task)
            except WorkerGoneError as gone:
                death = worker.bury()
                seat.worker = None
                if worker is not found or not gone.innocent:
                    deaths.append(death)
                    self._look_at(deaths, task, function, attempts)
            except BaseException:
                # such as no memory for the answer: what is left of it in the pipe is no answer to the next task
                worker.signal(signal.SIGKILL)
                worker.leave()
                seat.worker = None
                raise
            else:
                return self._result(kind, body, function)

    def _look_at(self, deaths: list[Death], task: bytes, function: Callable[..., Any], attempts: int) -> None:
        """Raise unless the task is to be tried again."""
        if self._stopped is not None:
            raise ResourceError(
                f"{self.kind} {self.name!r} was released and stopped {title(function)} after {self._stopped:g} s.",
                "Release an executor after the last result, or raise the setting stop_grace.",
                resource=self.name,
            )
        # one that ends by itself before it is ready would do so each time
        hopeless = not deaths[-1].started and deaths[-1].signal is None
        if hopeless or len(deaths) >= attempts:
            trace = deaths[-1].trace
            raise WorkerDiedError(self.name, shown(task, function), deaths) from (
                RemoteTraceback(trace) if trace else None
            )

    def _replacement(self, seat: _Seat) -> WorkerProcess:
        try:
            seat.worker = WorkerProcess()
        except OSError as error:
            raise ResourceLimitError(
                f"{self.kind} {self.name!r} could not replace a worker: {error}.",
                "Ask for fewer workers, or raise the limits on processes and open files (ulimit -u, ulimit -n).",
                resource=self.name,
            ) from error
        if self._stopped is not None:
            seat.worker.signal(signal.SIGKILL)
        return seat.worker

    def _pickled(self, named: Callable[..., Any], function: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
        try:
            return pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            first = args[1][0] if function is run_items else args  # of several, each is tried alone
            raise self._unpicklable(named, first, kwargs, error) from error

    def _unpicklable(self, named: Callable[..., Any], args: Any, kwargs: Any, error: Exception) -> InvalidRequestError:
        path, part = culprit(named, "the function")
        if pickles(part):
            path, part = culprit(args, "args")
        if pickles(part):
            path, part = culprit(kwargs, "kwargs")
        return InvalidRequestError(
            f"{self.kind} {self.name!r} cannot send {title(named)} to a worker: {path}, a"
            f" {type(part).__qualname__}, cannot be pickled: {said(error)}.",
            "Use a function from a module, not a lambda or a nested one, and arguments that can be pickled.",
            resource=self.name,
        )

    def _result(self, kind: int, body: Any, function: Callable[..., Any]) -> Any:
        try:
            found = pickle.loads(body)  # noqa: S301 - from our own child, through a private pipe
        except Exception as error:
            raise ResourceError(
                f"{self.kind} {self.name!r}: the result of {title(function)} cannot be loaded:"
                f" {type(error).__name__}: {error}.",
                "Return what this process can import and unpickle.",
                resource=self.name,
            ) from error
        if kind == RESULT:
            return found
        if kind == RAISED:
            raised, trace = found
            raised.__cause__ = RemoteTraceback(trace)
            raise raised
        if kind == UNLOADABLE:
            raise InvalidRequestError(
                f"A worker process could not load a task: {found}.",
                "Put the function and the classes of its arguments into a module that can be imported.",
                resource=self.name,
            )
        raise self._unsendable(title(function), *found)

    def _unsendable(self, called: str, shown: str, path: str, part: str, text: str, trace: str) -> ResourceError:
        what = "raised" if trace else "returned"
        error = ResourceError(
            f"{self.kind} {self.name!r}: {called} {what} {shown}, which a worker cannot send back: {path}, a {part},"
            f" cannot be pickled and loaded again: {text}.",
            "Return and raise what can be pickled: plain data, and exceptions whose args are those of their class.",
            resource=self.name,
        )
        error.__cause__ = RemoteTraceback(trace) if trace else None
        return error
