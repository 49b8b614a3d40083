"""How much memory this process may use, and how much is used: its control group's where that has a limit.

Used is what the kernel cannot drop at once: the group's usage less its file pages, active and inactive. Shared memory
stays in. To count the page cache too makes healthy containers look full (kubernetes/kubernetes#43916).
"""

from __future__ import annotations

from typing import NamedTuple

from framework.errors import ResourceUnavailableError
from framework.limits.files import number, value
from framework.limits.groups import MACHINE, Groups

UNLIMITED = 1 << 62
"""Version 1 says "no limit" with the largest number of whole pages."""
_FILE_PAGES = ((b"total_active_file ", b"total_inactive_file "), (b"active_file ", b"inactive_file "))


class Memory(NamedTuple):
    """Memory in bytes. All of it is about `source`, except what is available: that is the least of all there is."""

    limit: int
    """What may be used at most: the least over the machine, the own group and its ancestors. A group's `memory.high`
    counts, since beyond it every allocation waits."""
    used: int
    """What is used of it by all that share it, less file pages that can be dropped."""
    available: int
    """How much more fits before any of these limits is reached."""
    source: str
    """The directory of the group that has the least limit, or `machine`."""
    maximum: int
    """Like the limit, with `memory.high` left out: beyond it the kernel kills."""
    machine: int
    """What the whole machine has."""
    machine_available: int
    """What of that can be had without swapping."""

    @property
    def percent(self) -> float:
        """How much of the limit is used, from 0 to 100."""
        return min(100.0, 100.0 * self.used / self.limit) if self.limit > 0 else 100.0


class Group(NamedTuple):
    """A control group with limits of its own; `high` is the maximum where it is not set."""

    path: str
    unified: bool
    high: int
    maximum: int


def memory(groups: Groups) -> Memory:
    """Return what may be used and what is used.

    Raises:
        ResourceUnavailableError: This system does not say how much is used.
    """
    total, free = _machine(groups)
    limit, used, available, source, most = total, total - free, free, MACHINE, total
    for group in limited(groups):  # the own group first: of equal limits the outermost one counts
        inside = _used(groups, group)
        available, most = min(available, max(0, group.high - inside)), min(most, group.maximum)
        if group.high <= limit and group.high < total:
            limit, used, source = group.high, inside, group.path
    return Memory(limit, used, available, source, most, total, free)


def _machine(groups: Groups) -> tuple[int, int]:
    file = f"{groups.proc}/meminfo"
    found = groups.files.read(file)
    words = found.split(None, 8)
    if len(words) == 9 and words[0] == b"MemTotal:" and words[6] == b"MemAvailable:":
        total, available = number(words[1]), number(words[7])  # as it is everywhere; looking for them takes longer
    else:
        total, available = value(found, b"MemTotal:"), value(found, b"MemAvailable:")
    if total < 0 or available < 0:
        raise ResourceUnavailableError(
            f"How much memory is used cannot be read: {file} does not say.",
            "Linux says it; elsewhere only framework.limits.memory_limit() is known.",
        )
    return total << 10, available << 10


def limited(groups: Groups) -> list[Group]:
    """Return each group that has a limit, the own one first.

    What ancestors allow that cannot be seen from here is the limit of the outermost group under version 1; version 2
    does not tell.
    """
    found = []
    first = [path for path, unified in groups.of("memory") if not unified]
    for path, unified in groups.limiting("memory"):
        if unified:
            maximum = _limit(number(groups.read(path, "memory.max")))
            high = min(maximum, _limit(number(groups.read(path, "memory.high"))))
        elif path == first[-1]:
            maximum = high = _limit(value(groups.read(path, "memory.stat"), b"hierarchical_memory_limit "))
        else:
            maximum = high = _limit(number(groups.read(path, "memory.limit_in_bytes")))
        if high < UNLIMITED:
            found.append(Group(path, unified, high, maximum))
    return found


def _limit(found: int) -> int:
    return found if 0 <= found < UNLIMITED else UNLIMITED


def _used(groups: Groups, group: Group) -> int:
    usage = number(groups.read(group.path, "memory.current" if group.unified else "memory.usage_in_bytes"))
    pages = groups.read(group.path, "memory.stat")
    return max(0, usage - sum(max(0, value(pages, name)) for name in _FILE_PAGES[group.unified]))
