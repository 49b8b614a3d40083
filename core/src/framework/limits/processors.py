"""How many processors this process may really use: affinity, processor sets and the quotas of its control groups."""

from __future__ import annotations

import os

from framework.frozen import Frozen
from framework.limits.files import number, value
from framework.limits.groups import Groups


class Throttling(Frozen):
    """How often the tightest quota held this process and its group up, since the group was made."""

    periods: int
    """Periods of the quota in which something wanted to run."""
    throttled: int
    """Those in which the quota was used up."""
    seconds: float
    """How long tasks waited for the next period, added up over all CPUs."""


def share(groups: Groups) -> float:
    """Return how many processors can be kept busy on average, as in 0.2 for a quota of a fifth of one."""
    found = [float(affinity()), set_size(groups)]
    if tightest := quota(groups):
        found.append(tightest[0])
    return min(one for one in found if one > 0)


def affinity() -> int:
    """Return how many processors the affinity mask has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def quota(groups: Groups) -> tuple[float, str] | None:
    """Return the tightest quota in processors, and the group that has it; None where there is none."""
    found = [(one, path) for path, unified in groups.of("cpu") if (one := _quota(groups, path, unified=unified)) > 0]
    return min(found, default=None)


def set_size(groups: Groups) -> int:
    """Return the size of the own group's processor set, which its ancestors limit already; 0 where there is none."""
    names = ("cpuset.effective_cpus", "cpuset.cpus.effective")
    sets = [groups.read(path, names[unified]).strip() for path, unified in groups.of("cpuset")]
    sizes = [sum(map(_length, one.split(b","))) for one in sets if one]
    return min((one for one in sizes if one > 0), default=0)


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
    found = [number(groups.read(path, "pids.max")) for path, _ in groups.of("pids")]
    return min((limit for limit in found if limit > 0), default=None)


def _quota(groups: Groups, path: str, *, unified: bool) -> float:
    if unified:
        words = [*groups.read(path, "cpu.max").split(), b"", b""]
    else:
        words = [groups.read(path, "cpu.cfs_quota_us"), groups.read(path, "cpu.cfs_period_us")]
    most, period = number(words[0]), number(words[1])
    return most / period if most > 0 and period > 0 else 0.0


def _length(span: bytes) -> int:
    """Return how many processors `7` or `0-3` names."""
    first, _, last = span.partition(b"-")
    return max(0, number(last or first) - number(first) + 1) if number(first) >= 0 else 0
