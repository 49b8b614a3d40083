"""What this process may use of the machine: its CPUs and memory, true in containers, nested groups and under quotas.

Both versions of control groups count, mounted together or alone, and so do all ancestors that can be seen. Limits may
change at any time, so each answer is read anew. `root` is where `proc` and the mount points are looked for: a test
passes a directory of its own.
"""

from framework.limits.files import Files
from framework.limits.groups import MACHINE, directories
from framework.limits.processors import CpuTime, Throttling
from framework.limits.reader import Reader, cpu_quota, cpus, memory, memory_limit, pressure, task_limit, throttled
from framework.limits.resident import peak_bytes, reset_peak, resident_bytes, trim
from framework.limits.stalls import Pressure
from framework.limits.usage import Memory

__all__ = [
    "MACHINE",
    "CpuTime",
    "Files",
    "Memory",
    "Pressure",
    "Reader",
    "Throttling",
    "cpu_quota",
    "cpus",
    "directories",
    "memory",
    "memory_limit",
    "peak_bytes",
    "pressure",
    "reset_peak",
    "resident_bytes",
    "task_limit",
    "throttled",
    "trim",
]
