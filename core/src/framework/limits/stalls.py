"""Pressure stall information: how long tasks wait for what is short.

Source: Documentation/accounting/psi.rst of the Linux kernel.
"""

from __future__ import annotations

import os

from framework.errors import InvalidRequestError, did_you_mean
from framework.frozen import Frozen
from framework.limits.files import value
from framework.limits.groups import Groups

RESOURCES = ("cpu", "io", "memory")


class Pressure(Frozen):
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
    own = next((path for path, unified in groups.of("") if unified), "")
    # the top group stands for the machine; it is the only one without a type
    if own and groups.read(own, "cgroup.type"):
        file = f"{own}/{resource}.pressure"
        if content := groups.files.read(file):
            return _parsed(content, file, host_wide=False)
    file = os.path.join(groups.root, "proc/pressure", resource)
    content = groups.files.read(file)
    return _parsed(content, file, host_wide=True) if content else None


def _parsed(content: bytes, source: str, *, host_wide: bool) -> Pressure:
    some, _, full = content.partition(b"full ")  # which older kernels leave out for the CPU
    return Pressure(_average(some), _average(full), _total(some), _total(full), source, host_wide)


def _average(line: bytes) -> float:
    text = line.partition(b"avg10=")[2].split(None, 1)
    return float(text[0]) if text else 0.0


def _total(line: bytes) -> float:
    return max(0, value(line.partition(b"total=")[2], b"")) / 1e6
