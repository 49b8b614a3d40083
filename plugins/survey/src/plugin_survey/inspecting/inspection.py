"""The inspection of files in a worker process: whether they are whole, and what text is in them.

A worker may be killed by what it reads, so it writes nothing anywhere: it hands back what it found. It limits its own
memory, so that a file that wants too much fails by itself and not by the system's choice.
"""

from __future__ import annotations

import functools
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from framework import limits
from plugin_survey.budget import Confines
from plugin_survey.formats import Bounds, check, text
from plugin_survey.problem import CHANGED, Problem, problem_from

FAILED = "failed"
"""The verdict on a content that could not be looked into to its end: `problem` says why."""
TOO_GREEDY = "it takes more memory than"
"""How the cause begins of a failure that more memory may avert."""
PATIENCE = 30.0
"""Seconds that one file may take, and one second more for each MiB of its size."""


class Item(NamedTuple):
    """A file to be looked into: its number in the list of what is to be done, and what it was when it was read."""

    number: int
    path: bytes
    size: int
    mtime_ns: int
    kind: str
    checking: bool
    reading: bool


class Look(NamedTuple):
    """What was found in one content; `verdict` is None where integrity was not asked for, `body` where text was not."""

    number: int
    verdict: str | None = None
    problem: str = ""
    members: int = 0
    title: str = ""
    body: str | None = None
    truncated: bool = False


class Inspected(NamedTuple):
    """What became of a batch: what was found in the first `done` items, and how many bytes that took.

    `again` has the numbers of those that memory did not suffice for, though it may when they are alone.
    """

    looks: list[Look]
    problems: list[Problem]
    again: list[int]
    done: int
    used: int
    seconds: float


class _OutOfTimeError(BaseException):
    """One file took too long; no handler of errors on the way may take it for another."""


def inspect_batch(items: Sequence[Item], confines: Confines, seconds: float) -> Inspected:
    """Look into files until all are done, the time is up, or there is much to hand back; at least one is done.

    Args:
        items: Regular files, whose content was fingerprinted before.
        confines: What this process may take.
        seconds: When to stop.
    """
    if confines.headroom is not None:
        confine(confines.headroom)
    looks: list[Look] = []
    problems: list[Problem] = []
    again: list[int] = []
    started = time.monotonic()
    limits.trim()  # what is free but kept would be used again, and the batch seem to take less
    before, peaks = limits.resident_bytes(), limits.reset_peak()
    done = characters = 0
    with _interruptible() as patience:
        for item in items:
            done += 1
            try:
                found = _inspected(item, confines.bounds, patience)
            except MemoryError:
                if not confines.last:
                    again.append(item.number)
                    break
                found = Look(item.number, FAILED, _too_greedy(confines.headroom))
            if isinstance(found, Problem):
                problems.append(found)
            else:
                looks.append(found)
                characters += len(found.body or "")
            if characters > confines.text or time.monotonic() - started > seconds:
                break
    most = limits.peak_bytes() if peaks else limits.resident_bytes()
    return Inspected(looks, problems, again, done, max(0, most - before), time.monotonic() - started)


def _inspected(item: Item, bounds: Bounds, patience: Callable[[float], object]) -> Look | Problem:
    try:
        if _changed(item):
            return Problem(item.path, CHANGED, "it was written to before it could be looked into")
        patience(PATIENCE + item.size / (1 << 20))
        try:
            look = _look(item, bounds)
        finally:
            patience(0)
        # what was found in half of one content and half of another is true of neither
        return Problem(item.path, CHANGED, "it was written to while it was looked into") if _changed(item) else look
    except OSError as error:
        return problem_from(item.path, error)
    except _OutOfTimeError:
        return Look(item.number, FAILED, f"it takes more than {PATIENCE + item.size / (1 << 20):.0f} s")
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one file must not cost the others
        return Look(item.number, FAILED, f"{type(error).__name__}: {error}")


def _changed(item: Item) -> bool:
    found = os.lstat(item.path)
    return (found.st_size, found.st_mtime_ns) != (item.size, item.mtime_ns)


def _look(item: Item, bounds: Bounds) -> Look:
    verdict, problem, members = None, "", 0
    title, body, truncated = "", None, False
    if item.checking:
        _, verdict, problem, members, _ = check(item.path, item.kind, bounds=bounds)
    if item.reading:
        title, body, truncated, _ = text(item.path, item.kind, bounds=bounds)
    return Look(item.number, verdict, problem, members, title, body, truncated)


def _too_greedy(headroom: int | None) -> str:
    had = f"the {headroom >> 20} MiB that a worker could have" if headroom is not None else "there is"
    return f"{TOO_GREEDY} {had}"


def confine(headroom: int) -> None:
    """Have this process take at most so many bytes more than it has now; asking for more raises MemoryError.

    The system limits the size of the data (RLIMIT_DATA: the heap, and private mappings that can be written). What a
    process has when it is confined for the first time counts as what it has now.
    """
    data = _data_at_first()
    if data is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = data + headroom
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most - 1), most))


@functools.cache
def _data_at_first() -> int | None:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, IndexError):
        return None


@contextmanager
def _interruptible() -> Iterator[Callable[[float], object]]:
    """Give what interrupts the body after so many seconds, never after 0. Does nothing in a thread: no signal comes."""
    try:
        former = signal.signal(signal.SIGALRM, _interrupt)
    except ValueError:
        yield float
        return
    try:
        yield functools.partial(signal.setitimer, signal.ITIMER_REAL)
    finally:
        signal.signal(signal.SIGALRM, former)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTimeError
