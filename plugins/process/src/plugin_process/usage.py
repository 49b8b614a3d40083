"""`ResourceUse`: what a child used, as the system counted it."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Self

BLOCK = 512
"""Bytes that the system counts input and output of disks in."""


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What a child and those of its own children that it waited for used, from its start to its end.

    Args:
        user_seconds: Time of processors spent in the program.
        system_seconds: Time of processors that the system spent for it.
        max_memory: Most bytes in memory at once: of all together where a control group limits memory. Elsewhere it is
            of the largest one, and never less than what this process had when it started the child, which the system
            counts as the child's.
        read_bytes: Bytes that came from disks, not from the page cache.
        written_bytes: Bytes that went to disks.
        voluntary_switches: How often it gave up the processor, to wait for something.
        involuntary_switches: How often the processor was taken from it.
        major_faults: How often a page had to be read from a disk.
    """

    user_seconds: float
    system_seconds: float
    max_memory: int
    read_bytes: int
    written_bytes: int
    voluntary_switches: int
    involuntary_switches: int
    major_faults: int

    @classmethod
    def of(cls, usage: resource.struct_rusage, peak: int | None = None) -> Self:
        """Return what `os.wait4` found, and the peak of a control group if there is one."""
        return cls(
            usage.ru_utime,
            usage.ru_stime,
            peak or usage.ru_maxrss * 1024,
            usage.ru_inblock * BLOCK,
            usage.ru_oublock * BLOCK,
            usage.ru_nvcsw,
            usage.ru_nivcsw,
            usage.ru_majflt,
        )
