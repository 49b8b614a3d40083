"""How far a survey got: bars on a terminal, a line now and then elsewhere, JSON for programs, or nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from plugin_survey.shown import human
from plugin_survey.status import Stage, Status

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress as Bars
    from rich.text import Text

AUTO, BARS, LINES, JSON, NONE = "auto", "bars", "lines", "json", "none"
CHOICES = (AUTO, BARS, LINES, JSON, NONE)

FIRST_LINE = 0.2
"""Seconds after which somebody who waits is told something."""
LINE_INTERVAL = 10.0
"""Seconds between two lines where there is no terminal."""
JSON_INTERVAL = 1.0
BAR_INTERVAL = 0.1


class Progress(Protocol):
    """What a survey tells of its progress."""

    wants_total: bool
    """Whether the number of all files is of use, so that counting ahead is worth its time."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, status: Status) -> None:
        """Say how far it is; may be called often."""


class Quiet:
    """Shows nothing."""

    wants_total = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing on the screen."""

    def show(self, status: Status) -> None:
        """Ignore the status."""


class Lines(Quiet):
    """Prints a plain line at intervals.

    Args:
        say: Prints one line.
        interval: Seconds between two lines.
        first: Seconds before the first one.
    """

    def __init__(self, say: Callable[[str], None], interval: float = LINE_INTERVAL, first: float = FIRST_LINE) -> None:
        self._say = say
        self._interval = interval
        self._next = time.monotonic() + first

    def show(self, status: Status) -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        if status.stages and now >= self._next:
            self._next = now + self._interval
            self._say(self._line(status))

    def _line(self, status: Status) -> str:
        stage = status.stages[-1]
        found = [f"{stage.done:,}{f' of {stage.total:,}' if stage.total is not None else ''} files", human(stage.bytes)]
        found.append(f"{human(stage.bytes / stage.seconds if stage.seconds else 0)}/s")
        if stage.remaining is not None:
            found.append(f"{stage.remaining:.0f} s left")
        if status.memory:
            found.append(memory_of(status))
        error = f"; last error: {status.last_error}" if status.last_error else ""
        return f"survey: {stage.name}: {', '.join(found)}{error}"


class JsonLines(Lines):
    """Prints the whole status as JSON, a line each time, and once more at the end."""

    def __init__(self, say: Callable[[str], None], interval: float = JSON_INTERVAL, first: float = FIRST_LINE) -> None:
        super().__init__(say, interval, first)
        self._status: Status | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Print how far it came."""
        if self._status is not None:
            self._say(self._line(self._status))

    def show(self, status: Status) -> None:
        """Print the status if it is time for that."""
        self._status = status
        super().show(status)

    def _line(self, status: Status) -> str:
        stages = [
            {
                "stage": stage.name,
                "done": stage.done,
                "total": stage.total,
                "bytes": stage.bytes,
                "seconds": round(stage.seconds, 3),
                "files_per_s": round(stage.rate, 1),
                "remaining_s": round(stage.remaining, 1) if stage.remaining is not None else None,
                "ended": stage.ended is not None,
            }
            for stage in status.stages
        ]
        memory = {"memory": status.memory, "peak": status.peak, "budget": status.budget}
        return json.dumps({"stages": stages, **memory, "last_error": status.last_error, "waiting": status.waiting})


class TerminalBar(Quiet):
    """A bar for each stage with files, bytes, rate and the time left; below, the memory and what went wrong last."""

    wants_total = True

    def __init__(self) -> None:
        self._live, self._bars, self._note = _make_bars()
        self._last = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, status: Status) -> None:
        """Move the bars, at most ten times a second."""
        now = time.monotonic()
        if now - self._last >= BAR_INTERVAL:
            self._last = now
            for number, stage in enumerate(status.stages):
                self._move(number, stage)
            self._note.plain = "   ".join(
                [
                    *([memory_of(status)] if status.memory else []),
                    *([f"last error: {status.last_error}"] if status.last_error else []),
                ]
            )

    def _move(self, number: int, stage: Stage) -> None:
        if number == len(self._bars.tasks):
            self._bars.add_task(stage.name, total=None, size="", rate="")
        task = self._bars.tasks[number]
        rate = f"{stage.rate:,.0f}/s"
        total = stage.done if stage.ended is not None else stage.total
        self._bars.update(task.id, total=total, completed=stage.done, size=human(stage.bytes), rate=rate)


def choose(how: str, say: Callable[[str], None], *, interactive: bool) -> Progress:
    """Return the way of showing progress that was asked for, or that fits."""
    if how == AUTO:
        how = BARS if interactive else LINES
    if how == BARS:
        return TerminalBar()
    return {LINES: Lines, JSON: JsonLines}[how](say) if how != NONE else Quiet()


def memory_of(status: Status) -> str:
    """Return how much memory is used, and of how much."""
    return f"memory {human(status.memory)}" + (f" of {human(status.budget)}" if status.budget else "")


def _make_bars() -> tuple[Live, Bars, Text]:
    # costs some 50 ms, which only a terminal has to pay
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    bars = Progress(
        TextColumn("{task.description:11}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files  {task.fields[size]}  {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    note = Text(no_wrap=True, overflow="ellipsis")
    console = Console(stderr=True)
    return Live(Group(bars, note), console=console, transient=True, refresh_per_second=10), bars, note
