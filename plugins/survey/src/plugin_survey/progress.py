"""How far a survey got: a bar on a terminal, a line now and then elsewhere, nothing when it shall be quiet."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from plugin_survey.shown import human

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_INTERVAL = 10.0
"""Seconds between two lines where there is no terminal."""
BAR_INTERVAL = 0.1


class Progress(Protocol):
    """What a survey tells of its progress."""

    wants_total: bool
    """Whether `expect` is of use, so that counting ahead is worth its time."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def expect(self, files: int) -> None:
        """Say how many files there are in all."""

    def show(self, files: int, size: int) -> None:
        """Say how many files and bytes are done; cheap, may be called after every batch."""


class Quiet:
    """Shows nothing."""

    wants_total = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing on the screen."""

    def expect(self, files: int) -> None:
        """Ignore the total."""

    def show(self, files: int, size: int) -> None:
        """Ignore the state."""


class Lines(Quiet):
    """Prints a plain line at intervals.

    Args:
        say: Prints one line.
        interval: Seconds between two lines; the first comes after as many.
    """

    def __init__(self, say: Callable[[str], None], interval: float = LINE_INTERVAL) -> None:
        self._say = say
        self._interval = interval
        self._started = self._last = time.monotonic()

    def show(self, files: int, size: int) -> None:
        """Print a line if the last one is long enough ago."""
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            rate = size / (now - self._started)
            self._say(f"survey: {files:,} files, {human(size)}, {human(rate)}/s")


class TerminalBar(Quiet):
    """A bar with files, bytes, rate and, as soon as the total is known, the time left."""

    wants_total = True

    def __init__(self) -> None:
        self._bar = _make_bar()
        self._task = self._bar.add_task("survey", total=None, size="0 B", rate="")
        self._started = time.monotonic()
        self._last = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def expect(self, files: int) -> None:
        """Give the bar its end."""
        self._bar.update(self._task, total=files)

    def show(self, files: int, size: int) -> None:
        """Move the bar, at most ten times a second."""
        now = time.monotonic()
        if now - self._last >= BAR_INTERVAL:
            self._last = now
            rate = f"{human(size / (now - self._started))}/s"
            self._bar.update(self._task, completed=files, size=human(size), rate=rate)


def choose(say: Callable[[str], None], *, quiet: bool, interactive: bool) -> Progress:
    """Return the way of showing progress that fits."""
    if quiet:
        return Quiet()
    return TerminalBar() if interactive else Lines(say)


def _make_bar() -> Bar:
    # costs some 50 ms, which only a terminal has to pay
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files  {task.fields[size]}  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
