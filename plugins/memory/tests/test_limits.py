from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.errors import ResourceLimitError, ResourceUnavailableError
from plugin_memory.limits import check_memory, check_shared_memory, physical_memory


def test_a_real_nested_group_is_obeyed() -> None:
    parent = own_memory_group()
    child = f"{parent}/framework-test-{os.getpid()}"
    try:
        os.mkdir(child)
    except OSError as error:
        pytest.skip(f"needs to create a control group below {parent}: {error}")
    try:
        with open(f"{child}/memory.limit_in_bytes", "w") as file:
            file.write(str(256 << 20))
        os.mkdir(f"{child}/inner")
        found = answer_inside(f"{child}/inner", 300 << 20)
    finally:
        os.rmdir(f"{child}/inner")
        os.rmdir(child)
    assert found == [f"{300 << 20}, but the control group of this process has {256 << 20} bytes"]


def own_memory_group() -> str:
    with open("/proc/self/cgroup") as file:
        rows = [line.strip().split(":", 2) for line in file]
    for _, controllers, path in rows:
        if "memory" in controllers.split(",") and os.path.isdir(f"/sys/fs/cgroup/memory{path}"):
            return f"/sys/fs/cgroup/memory{path}".rstrip("/")
    pytest.skip("needs the memory controller of control groups version 1")


def answer_inside(group: str, size: int) -> list[str]:
    program = (
        "import os, sys\n"
        "open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from plugin_memory.limits import check_memory\n"
        "try:\n"
        "    check_memory('memory.buffer', int(sys.argv[2]))\n"
        "except Exception as error:\n"
        "    print(error.problem.partition('got size ')[2].rstrip('.'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, group, str(size)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def test_physical_memory_agrees_with_the_kernel() -> None:
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert physical_memory() == total


def test_a_small_size_is_never_refused() -> None:
    check_memory("memory.buffer", 1)
    check_shared_memory("memory.shared", 1)


def test_a_directory_that_cannot_be_asked_does_not_limit() -> None:
    check_shared_memory("memory.shared", 1 << 50, directory="/proc/nowhere")


def test_shared_memory_is_limited_by_what_its_directory_can_hold(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    everything, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    with pytest.raises(ResourceLimitError, match=rf"has {everything} bytes"):
        check_shared_memory("memory.shared", everything + 1, directory=str(tmp_path))
    if free < everything:
        with pytest.raises(ResourceUnavailableError, match=r"has \d+ bytes free"):
            check_shared_memory("memory.shared", everything, directory=str(tmp_path))
