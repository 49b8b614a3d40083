"""`Collector`: what all collectors of this plugin share; `Deferred`, one that is made when it is first asked."""

from __future__ import annotations

import functools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework.limits import Files

Measured = dict[str, float]

_SOON = 0.2
"""Seconds that are waited for a collection to end."""


class Collector(ABC):
    """Measures under a lock, and tells what its measuring costs. Thread-safe; works on in a forked child.

    Args:
        root: Where `proc` and the mount points are looked for; a test passes a directory of its own.
        clock: What tells the time, in seconds.
    """

    noun = ""
    """What it measures, as its measurements begin."""

    def __init__(self, root: str = "/", clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name_of(self.noun)
        self.latest: Mapping[str, float] = {}
        """What was measured last."""
        self._root = root.rstrip("/")
        self._clock = clock
        self._lock = threading.Lock()
        self._cost = 0.0

    def collect(self) -> Mapping[str, float]:
        """Return the measurements of now, and as `<noun>_collect_seconds` what the former ones took."""
        with self._lock:
            begin = time.perf_counter()
            if "_files" in vars(self):
                self._files.renew()
            measured: Measured = {f"{self.noun}_collect_seconds": self._cost}
            self._measure(measured)
            self.latest = measured
            self._cost = time.perf_counter() - begin
            return dict(measured)

    def close(self) -> None:
        """Close the files that are kept open; collecting again opens them again.

        Those of a collector that hangs, as on a file system that does not answer, stay open until it is dropped.
        """
        if self._lock.acquire(timeout=_SOON):
            try:
                if "_files" in vars(self):
                    self._files.close()
            finally:
                self._lock.release()

    @functools.cached_property
    def _files(self) -> Files:
        from framework.limits import Files  # which collectors without files need not wait for

        return Files()

    @abstractmethod
    def _measure(self, measured: Measured) -> None:
        """Add what is so now."""


class Deferred:
    """Stands for a collector until it is first asked: the start of a host does not wait for its modules. Thread-safe.

    Args:
        noun: What it measures.
        make: Returns the collector.
    """

    def __init__(self, noun: str, make: Callable[[], Collector]) -> None:
        self.noun = noun
        self.name = name_of(noun)
        self._make = make
        self._lock = threading.Lock()
        self._made: Collector | None = None

    @property
    def latest(self) -> Mapping[str, float]:
        """What was measured last."""
        return self._made.latest if self._made is not None else {}

    def collect(self) -> Mapping[str, float]:
        """Return the measurements of now."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made.collect()

    def close(self) -> None:
        """Close the files that are kept open."""
        if self._made is not None:
            self._made.close()


def name_of(noun: str) -> str:
    """Return the name of a collector, which no collector of another plugin has."""
    return noun if noun == "system" else f"system.{noun}"
