"""How many processors this process may really use: affinity and the quotas of its control groups.

The affinity mask obeys the processor sets of all groups already; the kernel keeps it so.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from framework.errors import ResourceUnavailableError
from framework.limits.files import number, value
from framework.limits.groups import MACHINE, Groups

_TICKS = os.sysconf("SC_CLK_TCK")


class Throttling(NamedTuple):
    """How often the tightest quota held this process and its group up, since the group was made."""

    periods: int
    """Periods of the quota in which something wanted to run."""
    throttled: int
    """Those in which the quota was used up."""
    seconds: float
    """How long tasks waited for the next period, added up over all CPUs."""


class CpuTime(NamedTuple):
    """Time spent on processors so far; the difference of two readings is how busy they were in between."""

    seconds: float
    """By all that share the tightest quota, or, without one, by everybody on the processors of the affinity mask."""
    share: float
    """How many processors these may keep busy."""
    source: str
    """The directory of the group that has the tightest quota, or `machine`."""
    machine_seconds: float
    """By everybody on all processors of the machine."""
    machine_cpus: int
    """How many processors the machine has."""


def share(groups: Groups) -> float:
    """Return how many processors can be kept busy on average, as in 0.2 for a quota of a fifth of one."""
    return _share(groups, quota(groups))


def cpu_time(groups: Groups) -> CpuTime:
    """Return the time spent so far.

    Raises:
        ResourceUnavailableError: This system does not say.
    """
    file = f"{groups.proc}/stat"
    lines = groups.files.read(file).partition(b"intr")[0].splitlines()
    if not lines or not lines[0].startswith(b"cpu "):
        raise ResourceUnavailableError(
            f"How busy the processors are cannot be read: there is no {file}.",
            "Linux says it; elsewhere only the time of this process is known (time.process_time).",
        )
    machine, cpus = _busy(lines[0]), len(lines) - 1
    tightest = quota(groups)
    may_use = _share(groups, tightest)
    if tightest is not None and (used := _used(groups, tightest[1])) >= 0:
        return CpuTime(used, may_use, tightest[1], machine, cpus)
    own = machine if may_use == cpus else sum(map(_busy, _lines_of(lines[1:], os.sched_getaffinity(0))))
    return CpuTime(own, may_use, MACHINE, machine, cpus)


def affinity() -> int:
    """Return how many processors the affinity mask has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def quota(groups: Groups) -> tuple[float, str] | None:
    """Return the tightest quota in processors, and the group that has it; None where there is none."""
    places = groups.limiting("cpu")
    found = [(one, path) for path, unified in places if (one := _quota(groups, path, unified=unified)) > 0]
    return min(found, default=None)


def throttling(groups: Groups) -> Throttling | None:
    """Return how the tightest quota throttles; None where there is no quota."""
    tightest = quota(groups)
    if tightest is None:
        return None
    found = groups.read(tightest[1], "cpu.stat")
    periods, throttled = value(found, b"nr_periods "), value(found, b"nr_throttled ")
    microseconds, nanoseconds = value(found, b"throttled_usec "), value(found, b"throttled_time ")  # version 2, and 1
    return Throttling(max(0, periods), max(0, throttled), max(0, microseconds / 1e6, nanoseconds / 1e9))


def task_limit(groups: Groups) -> int | None:
    """Return the tightest `pids.max`, which counts threads and processes alike; None where there is none."""
    found = [number(groups.read(path, "pids.max")) for path, _ in groups.limiting("pids")]
    return min((limit for limit in found if limit > 0), default=None)


def _share(groups: Groups, tightest: tuple[float, str] | None) -> float:
    return min(float(affinity()), tightest[0]) if tightest else float(affinity())


def _busy(line: bytes) -> float:
    """Return the seconds of a line of /proc/stat in which a processor was not idle; guests are in its user time."""
    user, nice, system, _idle, _waiting, *others = line.split()[1:9]
    return sum(map(int, (user, nice, system, *others))) / _TICKS


def _lines_of(lines: list[bytes], processors: set[int]) -> list[bytes]:
    names = {b"cpu%d" % one for one in processors}
    return [line for line in lines if line.partition(b" ")[0] in names]


def _used(groups: Groups, path: str) -> float:
    """Return the seconds that a group has used; -1 where that is not known."""
    microseconds = value(groups.read(path, "cpu.stat"), b"usage_usec ")
    if microseconds >= 0:
        return microseconds / 1e6
    nanoseconds = number(groups.read(_accounting(groups, path), "cpuacct.usage"))  # version 1
    return nanoseconds / 1e9 if nanoseconds >= 0 else -1.0


def _accounting(groups: Groups, path: str) -> str:
    """Return where version 1 counts the time of a group: beside its quota, or in a hierarchy that is its twin."""
    quotas = [place for place, unified in groups.of("cpu") if not unified]
    counted = [place for place, unified in groups.of("cpuacct") if not unified]
    depth = len(quotas) - quotas.index(path) if path in quotas else 0
    twin = counted[-depth] if 0 < depth <= len(counted) else ""
    return twin if depth == 1 or os.path.basename(twin) == os.path.basename(path) else ""


def _quota(groups: Groups, path: str, *, unified: bool) -> float:
    if unified:
        most, _, rest = groups.read(path, "cpu.max").partition(b" ")
    else:
        most, rest = groups.read(path, "cpu.cfs_quota_us"), b""
    if number(most) <= 0:
        return 0.0
    period = number(rest if unified else groups.read(path, "cpu.cfs_period_us"))
    return number(most) / period if period > 0 else 0.0
