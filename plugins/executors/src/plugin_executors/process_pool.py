"""The process pool: that of `concurrent.futures`, with workers that never outlive their owner.

Workers are spawned, not forked: the owner has threads, and what a fork does to their locks is nobody's promise. Not
from a fork server either, because that one stays behind when the executor is released.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures.process import ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, ParamSpec, TypeVar

from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError
from plugin_executors.executor import released, title
from plugin_executors.worker import call, guard

P = ParamSpec("P")
T = TypeVar("T")


class WorkerProcess(SpawnProcess):
    """A worker process that starts deaf to Ctrl-C and whatever the owner's main program is."""

    def start(self) -> None:
        """Start it."""
        with _interrupts_blocked(), _main_importable():
            super().start()


class WorkerContext(SpawnContext):
    """Starts worker processes and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[WorkerProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> WorkerProcess:  # type: ignore[override]  # noqa: N802 - both: a class there, named by the standard library
        """Return a new worker, not yet started."""
        worker = WorkerProcess(*args, **kwargs)
        self.started.append(worker)
        return worker


class ProcessPool(ProcessPoolExecutor):
    """The standard library's pool, with errors that say what happened and workers that can be stopped."""

    def __init__(self, name: str, workers: int) -> None:
        self.name = name
        self.workers = workers
        self.unfinished = 0
        self._counting = threading.Lock()
        self._context = WorkerContext()
        super().__init__(workers, mp_context=self._context, initializer=guard)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call.

        Raises:
            InvalidRequestError: The function or an argument cannot be pickled.
            ResourceError: The pool was shut down, or a worker died.
            ResourceLimitError: The system refuses another process.
        """
        task = _pickled(self.name, function, args, kwargs)
        try:
            future: Future[T] = super().submit(call, task)
        except BrokenExecutor as error:
            raise self.broken() from error
        except RuntimeError as error:
            if "cannot schedule" not in str(error):
                raise  # a worker that imports an unguarded main program: the standard library explains it at length
            raise released("executor.process", self.name) from error
        except OSError as error:
            raise ResourceLimitError(
                f"executor.process {self.name!r} could not start a worker: {error}.",
                "Ask for fewer workers, or raise the limit on processes (ulimit -u, pids.max).",
                resource=self.name,
            ) from error
        with self._counting:
            self.unfinished += 1
        future.add_done_callback(self._finish)
        return future

    def broken(self) -> ResourceError:
        """Return the error for a task that was lost because a worker died."""
        return ResourceError(
            f"executor.process {self.name!r} is broken: a worker process died ({self._deaths()}).",
            "Acquire an executor again, and look for what killed it: a lack of memory, a crash in native code, or a"
            " main program that does not guard its start with `if __name__ == '__main__'`.",
            resource=self.name,
        )

    def workers_alive(self) -> list[WorkerProcess]:
        """Return the worker processes that were started and have not ended."""
        return [worker for worker in self._context.started if worker.is_alive()]

    def forget_workers(self) -> None:
        """Close what is kept of ended workers."""
        for worker in self._context.started:
            if worker.pid is not None:
                worker.close()
        self._context.started.clear()

    def _finish(self, _future: Future[Any]) -> None:
        with self._counting:
            self.unfinished -= 1

    def _deaths(self) -> str:
        # the pool terminates the others once it notices, so SIGTERM says nothing
        codes = {worker.pid: worker.exitcode for worker in self._context.started}
        deaths = [f"{pid} by {_cause(code)}" for pid, code in codes.items() if code and code != -signal.SIGTERM]
        return ", ".join(deaths) or "of unknown cause"


def _pickled(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    try:
        return bytes(pickle.dumps((function, args, kwargs)))
    except Exception as error:
        raise InvalidRequestError(
            f"executor.process {name!r} cannot send {title(function)} to a worker: {error}.",
            "Use a function from a module, not a lambda or a nested one, and arguments that can be pickled.",
            resource=name,
        ) from error


def _cause(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a child inherit a blocked SIGINT until it ignores it."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextlib.contextmanager
def _main_importable() -> Iterator[None]:
    """Hide a main program that no worker could import: one read from standard input claims the file `<stdin>`."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if main.__spec__ is not None or path is None or os.path.exists(path):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = path
