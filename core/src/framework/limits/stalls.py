"""Pressure stall information: how long tasks wait for what is short.

Source: Documentation/accounting/psi.rst of the Linux kernel.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from framework.errors import InvalidRequestError, did_you_mean
from framework.limits.groups import Groups

_LINE = re.compile(rb"^(?:some|full) avg10=([0-9.]+) .*total=([0-9]+)$", re.MULTILINE)
"""The line for all tasks (full) comes last, and older kernels leave it out for the CPU."""
RESOURCES = ("cpu", "io", "memory")


class Pressure(NamedTuple):
    """How much tasks wait for one resource: some of them, or all that could run (full)."""

    some_avg10: float
    """Share of the last 10 seconds in which some waited, in percent."""
    full_avg10: float
    """Share of the last 10 seconds in which all waited, in percent."""
    some_total: float
    """Seconds in which some waited, since the start of the group or machine."""
    full_total: float
    """Seconds in which all waited, since the start of the group or machine."""
    source: str
    """The file that says so."""
    host_wide: bool
    """True when it is about the whole machine, with all that runs beside this process and its group."""


def pressure(groups: Groups, resource: str) -> Pressure | None:
    """Return the pressure on the own group of version 2 where that is known, else on the machine, else None."""
    if resource not in RESOURCES:
        raise InvalidRequestError(
            f"Pressure was asked of {resource!r}; known are {', '.join(RESOURCES)}.",
            did_you_mean(resource, RESOURCES),
        )
    unified = [path for path, unified in groups.of("") if unified]
    # the top group stands for the machine; it is the only one without a type
    if unified and groups.read(unified[0], "cgroup.type"):
        file = f"{unified[0]}/{resource}.pressure"
        if content := groups.files.read(file):
            return _parsed(content, file, host_wide=False)
    file = f"{groups.proc}/pressure/{resource}"
    content = groups.files.read(file)
    return _parsed(content, file, host_wide=True) if content else None


def _parsed(content: bytes, source: str, *, host_wide: bool) -> Pressure:
    (some, some_total), (full, full_total), *_ = [*_LINE.findall(content), (0, 0), (0, 0)]
    return Pressure(float(some), float(full), int(some_total) / 1e6, int(full_total) / 1e6, source, host_wide)
