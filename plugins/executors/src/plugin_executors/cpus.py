"""How many processors this process may really use: affinity and the quotas of its control groups."""

from __future__ import annotations

import os

from plugin_executors.cgroups import directories


def usable_cpus(root: str = "/") -> int:
    """Return how many processors can be kept busy at once, at least 1.

    That is the smaller of the affinity mask and the tightest quota of this process' own control group and all of its
    ancestors, rounded up. The machine's count alone is wrong in containers and in groups with a quota.

    Args:
        root: Where `proc` and the control groups are looked for; a test passes a directory of its own.
    """
    quota = cpu_quota(root)
    return max(1, _affinity() if quota is None else min(_affinity(), quota))


def cpu_quota(root: str = "/") -> int | None:
    """Return the tightest quota in whole processors, rounded up; None where there is none."""
    found = [quota for path, unified in directories("cpu", root) if (quota := _quota(path, unified=unified))]
    return min(found, default=None)


def task_limit(root: str = "/") -> int | None:
    """Return the tightest `pids.max`, which counts threads and processes alike; None where there is none."""
    found = [_number(_read(path, "pids.max")) for path, _ in directories("pids", root)]
    return min((limit for limit in found if limit > 0), default=None)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def _quota(path: str, *, unified: bool) -> int | None:
    if unified:
        words = [*_read(path, "cpu.max").split(), "", ""]
    else:
        words = [_read(path, "cpu.cfs_quota_us"), _read(path, "cpu.cfs_period_us")]
    quota, period = _number(words[0]), _number(words[1])
    return -(-quota // period) if quota > 0 and period > 0 else None


def _number(text: str) -> int:
    """Return a number; -1 for "max" and whatever else says that there is no limit."""
    try:
        return int(text)
    except ValueError:
        return -1


def _read(path: str, name: str) -> str:
    try:
        with open(os.path.join(path, name), encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""  # root groups have no limit files, and a group may vanish while we look
