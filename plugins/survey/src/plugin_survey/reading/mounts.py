"""Which mounted file systems hold the system's state and no files of anybody.

Their files say nothing true of their size: `/proc/kcore` claims 128 TiB, and would be read for a day.
"""

from __future__ import annotations

import os

PSEUDO = {
    *("binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "efivarfs", "fusectl", "hugetlbfs"),
    *("mqueue", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs"),
}
"""Types of file systems; not autofs, below which people's homes may be."""


def pseudo_devices(table: str = "/proc/self/mountinfo") -> frozenset[int]:
    """Return the device numbers of such file systems; none where the system keeps no such table."""
    try:
        with open(table, "rb") as mounts:
            lines = mounts.read().decode(errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] in PSEUDO:
            major, minor = before.split(" ", 3)[2].split(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
