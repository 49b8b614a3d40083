from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Machine = Callable[..., str]

MEMINFO = "MemTotal:  8388608 kB\nMemFree:  1 kB\nMemAvailable:  6291456 kB\n"
STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0 0 0\nintr 1 2 3\n"
PRESSURE = "some avg10={0} avg60=0.00 avg300=0.00 total=9\nfull avg10={1} avg60=0.00 avg300=0.00 total=5\n"
NETWORK = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop and so on\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Write a machine of 8 GiB and one processor, on which a group of version 2 has 256 MiB and half a processor."""

    def written(**files: str) -> str:
        group = "sys/fs/cgroup/app"
        every = {
            "proc/self/cgroup": "0::/app\n",
            "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
            "proc/meminfo": MEMINFO,
            "proc/stat": STAT.format(busy=1000, idle=9000),
            "proc/loadavg": "1.25 0.50 0.10 2/345 6789\n",
            "proc/1/stat": "",
            "proc/22/stat": "",
            "proc/pressure/cpu": PRESSURE.format("1.00", "0.00"),
            "proc/pressure/io": PRESSURE.format("2.00", "1.00"),
            "proc/self/net/dev": NETWORK + interface("lo", 99, 99) + interface("eth0", 1000, 500),
            f"{group}/cgroup.type": "domain\n",
            f"{group}/memory.pressure": PRESSURE.format("30.00", "12.50"),
            f"{group}/memory.max": "268435456\n",
            f"{group}/memory.high": "max\n",
            f"{group}/memory.current": "209715200\n",
            f"{group}/memory.stat": "anon 1\ninactive_file 50000000\nactive_file 25497600\n",
            f"{group}/cpu.max": "50000 100000\n",
            f"{group}/cpu.stat": "usage_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
            **{name.replace("APP", group): text for name, text in files.items()},
        }
        for name, text in every.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return written


def interface(name: str, received: int, sent: int) -> str:
    return f"{name:>6}: {received} 5 1 2 0 0 0 0 {sent} 5 3 4 0 0 0 0\n"


@pytest.fixture
def row() -> Callable[[str, int, int], str]:
    """A line of /proc/net/dev: the interface, and the bytes received and sent."""
    return interface


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time of a test."""
    return Clock()
