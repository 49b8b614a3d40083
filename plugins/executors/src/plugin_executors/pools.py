"""The two pools behind a `ConcurrencyManager`: made when first used, sized as the settings say, closed in time."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from framework.errors import InvalidRequestError, ResourceError
from plugin_executors import forks
from plugin_executors.bounds import check, first_size, most_for
from plugin_executors.executor import released
from plugin_executors.processes import TERMINATED_S
from plugin_executors.sizer import IDLE_S, Sizer, attach
from plugin_executors.threads import ThreadPool, still_running
from plugin_executors.worker_pool import WorkerPool

if TYPE_CHECKING:
    from plugin_executors.process_pool import ProcessPool
    from plugin_executors.settings import ExecutorsSettings

SECTION = "resource_management.concurrency."
_DEFAULTS = {"default_cpu_workers": "auto", "default_io_workers": "auto", "max_total_workers": None}
_WORDS = {"executor.thread": "default_io_workers", "executor.process": "default_cpu_workers"}


class Pools:
    """Makes, sizes and closes one pool of threads and one of processes.

    Args:
        settings: The plugin's settings; the defaults when none are given.
        setting: Returns the present value of a setting of the host by its full name.
    """

    def __init__(self, settings: ExecutorsSettings | None, setting: Callable[[str], Any] | None) -> None:
        if settings is None:
            from plugin_executors.settings import ExecutorsSettings

            settings = ExecutorsSettings()
        self._settings = settings
        self._setting = setting
        self._lock = threading.RLock()
        self._made: dict[str, WorkerPool] = {}
        self._closed = False
        self._held = False
        forks.remember(self)
        _at_exit.add(self)

    def threads(self) -> ThreadPool:
        """Return the pool of threads."""
        pool: Any = self._made.get("executor.thread") or self._make("executor.thread")
        return pool  # type: ignore[no-any-return]

    def processes(self) -> ProcessPool:
        """Return the pool of processes."""
        pool: Any = self._made.get("executor.process") or self._make("executor.process")
        return pool  # type: ignore[no-any-return]

    def metrics(self) -> dict[str, float]:
        """Return the workers, and the running, pending and completed tasks, of each pool."""
        found: dict[str, float] = {}
        for kind in _WORDS:
            pool, name = self._made.get(kind), kind.removeprefix("executor.")
            workers, unfinished = (pool.workers, pool.unfinished) if pool else (0, 0)
            found[f"concurrency_{name}_workers"] = workers
            found[f"concurrency_{name}_running"] = min(workers, unfinished)
            found[f"concurrency_{name}_pending"] = max(0, unfinished - workers)
            found[f"concurrency_{name}_completed"] = pool.completed if pool else 0
        return found

    def relieve(self, *, until_better: bool) -> None:
        """Halve what adapts and keep it from growing; or let it grow again."""
        with self._lock:
            self._held = until_better
            for kind, pool in self._made.items():
                if until_better and self._fixed(kind) is None:
                    pool.resize(max(1, pool.workers // 2))

    def close(self, grace: float | None = None) -> None:
        """Cancel what is queued, wait for what runs, and stop what does not end.

        Raises:
            ResourceError: Threads still run.
        """
        with self._lock:
            self._closed = True
            pools = list(self._made.values())
        grace = self._settings.stop_grace if grace is None else grace
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        stuck = _unended(pools, grace)
        for force in (False, True):
            for pool in stuck:
                pool.stop(grace, force=force)
            stuck = _unended(stuck, TERMINATED_S)
        for pool in pools:
            pool.join(0 if pool in stuck else 1)  # they have nothing left to do but to end
        if stuck:
            raise still_running(stuck[0], grace)

    def forget(self) -> None:
        """Start anew in a forked child."""
        self._lock = threading.RLock()
        self._made = {}
        self._held = False

    def _make(self, kind: str) -> WorkerPool:
        with self._lock:
            if self._closed:
                raise released(kind, "concurrency")
            if kind not in self._made:
                pool = self._new(kind, min(self._fixed(kind) or first_size(kind), self._share(kind)))
                sizer = Sizer(pool, lambda: self._most(kind), lambda: self._fixed(kind), lambda: self._held)
                attach(sizer, pool)
                self._made[kind] = pool
                self._share_out()
            return self._made[kind]

    def _new(self, kind: str, workers: int) -> WorkerPool:
        idle = IDLE_S if self._fixed(kind) is None else None
        if kind == "executor.thread":
            return ThreadPool("concurrency-thread", workers, idle)
        # nobody who uses only threads should pay for what starts processes
        from plugin_executors.process_pool import ProcessPool

        return ProcessPool("concurrency-process", workers, self._settings.task_attempts, idle)

    def _fixed(self, kind: str) -> int | None:
        word = self._value(_WORDS[kind])
        if word == "auto":
            return None
        if type(word) is not int or word < 1:
            raise InvalidRequestError(
                f"{SECTION}{_WORDS[kind]} is {word!r}; allowed are 'auto' and numbers from 1.",
                "Correct the setting, or leave it out for 'auto'.",
                resource=kind,
            )
        return check(kind, word)

    def _most(self, kind: str) -> int:
        """Return how many workers a pool may have now."""
        self._share_out()
        share, pool = self._share(kind), self._made[kind]
        return share if self._fixed(kind) else min(share, most_for(kind, pool.workers, pool.memory_each()))

    def _share(self, kind: str) -> int:
        """Return what `max_total_workers` leaves to a pool; processes go before threads, and each keeps one."""
        total = self._total()
        if total is None:
            return sys.maxsize
        other = self._made.get("executor.thread" if kind == "executor.process" else "executor.process")
        taken = 0 if other is None else 1 if kind == "executor.process" else other.workers
        return max(1, total - taken)

    def _share_out(self) -> None:
        threads = self._made.get("executor.thread")
        if threads is not None and threads.workers > (share := self._share("executor.thread")):
            threads.resize(share)

    def _total(self) -> int | None:
        total = self._value("max_total_workers")
        if total is not None and (type(total) is not int or total < 1):
            raise InvalidRequestError(
                f"{SECTION}max_total_workers is {total!r}; allowed are null and numbers from 1.",
                "Correct the setting, or leave it out for no limit.",
            )
        return total

    def _value(self, name: str) -> Any:
        return _DEFAULTS[name] if self._setting is None else self._setting(SECTION + name)


def _unended(pools: list[WorkerPool], seconds: float) -> list[WorkerPool]:
    """Return the pools whose workers have not all ended after so many seconds in all."""
    wait([pool.ended for pool in pools], seconds)
    return [pool for pool in pools if not pool.ended.done()]


_at_exit: weakref.WeakSet[Pools] = weakref.WeakSet()


def _close_all() -> None:
    # daemon threads would be cut off in the midst of their tasks
    for pools in list(_at_exit):
        with contextlib.suppress(ResourceError):
            pools.close()


atexit.register(_close_all)
