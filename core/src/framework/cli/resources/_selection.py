"""Which leases a verb is about: the options that choose, and what is read from the journals of all processes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import click

from framework.frozen import Frozen
from framework.records import JournalRecord
from framework.recovery import held

F = TypeVar("F", bound=Callable[..., Any])

STATES = ("live", "dead", "damaged")
COLUMNS = ("process", "program", "state", "kind", "name", "owner", "size", "age", "verbs")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _age(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return the seconds that a time span such as `90`, `10m` or `1h30m` has."""
    if value is None:
        return None
    if not re.fullmatch(r"([0-9]+(\.[0-9]+)?[smhd])+|[0-9]+(\.[0-9]+)?", value):
        raise click.BadParameter(f"{value!r}; allowed: seconds, or numbers with s, m, h or d, as 10m or 1h30m.")
    parts = re.findall(r"([0-9.]+)([smhd]?)", value)
    return sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)


class Selection(Frozen):
    """What the options say; empty stands for anything. Patterns are those of shells, in small and capital letters."""

    owner: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    pid: tuple[int, ...] = ()
    state: tuple[str, ...] = ()
    older_than: float | None = None

    def read(self) -> list[JournalRecord]:
        """Return the leases that are chosen, of all processes of this user, by process, and there oldest first.

        Raises:
            PolicyError: Somebody else could have put journals where they are.
            ResourceUnavailableError: There is no home directory, or the journals cannot be read.
        """
        now = time.time()
        chosen = [one for one in held() if self._chooses(one, now)]
        return sorted(chosen, key=lambda one: (one.pid, one.journal, one.lease))

    def _chooses(self, one: JournalRecord, now: float) -> bool:
        return (
            _any(one.owner, self.owner)
            and _any(one.kind, self.kind)
            and _any(one.program, self.program)
            and (not self.pid or one.pid in self.pid)
            and (not self.state or one.state in self.state)
            and (self.older_than is None or (one.acquired_at > 0 and now - one.acquired_at >= self.older_than))
        )


def _any(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(text, one) for one in patterns)


_OPTIONS = (
    click.option("--owner", metavar="PATTERN", multiple=True, help="Only leases of this owner; repeatable."),
    click.option("--kind", metavar="PATTERN", multiple=True, help="Only this kind, as 'memory.*'; repeatable."),
    click.option("--program", metavar="PATTERN", multiple=True, help="Only processes of this program; repeatable."),
    click.option(
        "--pid", metavar="NUMBER", type=int, multiple=True, help="Only the process of this number; repeatable."
    ),
    click.option("--state", type=click.Choice(STATES), multiple=True, help="Only processes in this state; repeatable."),
    click.option(
        "--older-than", callback=_age, metavar="AGE", help="Only what is held that long, as 90, 10m or 1h30m."
    ),
)


def selecting(function: F) -> F:
    """Give a command the options that choose leases; it takes them as keywords for `Selection`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def row(one: JournalRecord) -> dict[str, Any]:
    """Return a lease as data: sizes in bytes, `age` in seconds, `acquired_at` in seconds since the epoch."""
    known = one.acquired_at > 0
    return {
        "id": identity(one),
        "process": one.pid or None,
        "program": one.program,
        "state": one.state,
        "kind": one.kind,
        "name": one.name,
        "owner": one.owner,
        "size": one.size,
        "age": round(max(0.0, time.time() - one.acquired_at), 3) if known else None,
        "acquired_at": one.acquired_at if known else None,
        "held": one.held,
        "verbs": one.verbs,
        "attempts": one.attempts,
        "reason": one.reason,
        "journal": one.journal,
    }


def table(leases: list[JournalRecord]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the rows and columns of the table for people."""
    rows = [{**row(one), "age": spelled(time.time() - one.acquired_at) if one.acquired_at else None} for one in leases]
    for each, one in zip(rows, leases, strict=True):
        each["reason"] = f"{one.reason} ({one.journal})" if one.state == "damaged" else one.reason
    return rows, (*COLUMNS, "reason") if any(one.reason for one in leases) else COLUMNS


def identity(one: JournalRecord) -> str:
    """Return what tells a lease from all others of the moment: the process and the number of the lease in it."""
    return f"{one.pid}:{one.lease}" if one.lease else ""


def spelled(seconds: float) -> str:
    """Return a time span for people: the largest unit that it fills."""
    unit = next((unit for unit, length in reversed(_SECONDS.items()) if seconds >= length), "s")
    return f"{max(0, int(seconds / _SECONDS[unit]))}{unit}"
