"""What memory a process may use, and what is used of it; on written trees, and in groups that are real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework import limits
from framework.errors import InvalidRequestError, ResourceUnavailableError
from framework.limits import Reader, memory, memory_limit, pressure, throttled
from framework.testing import MemoryGroup

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MEMINFO = f"MemTotal:       {8 * GIB // KIB} kB\nMemFree:  1 kB\nMemAvailable:   {6 * GIB // KIB} kB\nBuffers: 9 kB\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
UNLIMITED = "9223372036854771712"

Tree = Callable[..., str]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write a machine of 8 GiB, 6 of them available, with the groups given, and return its root."""

    def written(groups: str, mounts: str, **files: str) -> str:
        every = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, "proc/meminfo": MEMINFO, **files}
        for name, text in every.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return written


def group(path: str, **files: str) -> dict[str, str]:
    return {f"sys/fs/cgroup/{path}/{name.replace('__', '.')}": text for name, text in files.items()}


def unified(path: str, limit: str, used: int = 0, file: int = 0, high: str = "max") -> dict[str, str]:
    stat = f"anon {used}\nfile {file}\nshmem 5\ninactive_anon 1\nactive_anon 2\ninactive_file {file}\nactive_file 7\n"
    return group(path, memory__max=limit, memory__high=high, memory__current=f"{used}\n", memory__stat=stat)


def first(path: str, limit: str, used: int = 0, file: int = 0, inherited: str = UNLIMITED) -> dict[str, str]:
    stat = (
        f"cache 1\nactive_file 1\ninactive_file 2\nhierarchical_memory_limit {inherited}\n"
        f"total_inactive_file {file}\ntotal_active_file 7\n"
    )
    return group(path, memory__limit_in_bytes=limit, memory__usage_in_bytes=f"{used}\n", memory__stat=stat)


def test_without_groups_it_is_the_machine(tree: Tree) -> None:
    found = memory(tree("", ""))
    assert found == limits.Memory(8 * GIB, 2 * GIB, 6 * GIB, "machine", 8 * GIB, 8 * GIB, 6 * GIB)
    assert found.percent == 25.0
    assert memory_limit(tree("", "")) is None


def test_version_2_is_the_least_of_all_ancestors(tree: Tree) -> None:
    root = tree(
        "0::/a/b\n", V2, **unified("a", f"{GIB}\n", 700 * MIB, 100 * MIB), **unified("a/b", "max\n", 50 * MIB, MIB)
    )
    found = memory(root)
    assert (found.limit, found.used, found.source) == (GIB, 600 * MIB - 7, f"{root}/sys/fs/cgroup/a")
    assert found.available == GIB - found.used
    assert memory_limit(root) == GIB


def test_an_ancestor_that_is_nearly_full_leaves_little_though_it_has_more(tree: Tree) -> None:
    root = tree("0::/a/b\n", V2, **unified("a", f"{GIB}", 1000 * MIB), **unified("a/b", f"{256 * MIB}", 10 * MIB))
    found = memory(root)
    assert (found.limit, found.used) == (256 * MIB, 10 * MIB - 7)
    assert found.available == 24 * MIB + 7


def test_of_equal_limits_the_outermost_counts_because_it_fills_first(tree: Tree) -> None:
    root = tree("0::/a/b\n", V2, **unified("a", f"{GIB}", 900 * MIB), **unified("a/b", f"{GIB}", 10 * MIB))
    assert memory(root).source.endswith("/a")


def test_the_page_cache_is_not_used(tree: Tree) -> None:
    root = tree("0::/a\n", V2, **unified("a", f"{GIB}", GIB - 4096, GIB - 8192))
    assert memory(root).used == 4096 - 7
    assert memory(root).percent < 1


def test_memory_high_counts_as_the_limit_and_not_as_the_maximum(tree: Tree) -> None:
    root = tree("0::/a\n", V2, **unified("a", f"{2 * GIB}", MIB, high=f"{GIB}"))
    found = memory(root)
    assert (found.limit, found.maximum) == (GIB, 2 * GIB)
    assert memory_limit(root) == 2 * GIB


def test_memory_high_alone_is_no_maximum(tree: Tree) -> None:
    root = tree("0::/a\n", V2, **unified("a", "max", MIB, high=f"{GIB}"))
    found = memory(root)
    assert (found.limit, found.maximum) == (GIB, 8 * GIB)
    assert memory_limit(root) is None


def test_a_limit_above_the_machine_means_the_machine(tree: Tree) -> None:
    found = memory(tree("0::/a\n", V2, **unified("a", f"{99 * GIB}", MIB)))
    assert (found.limit, found.source) == (8 * GIB, "machine")


def test_the_machine_may_have_less_left_than_the_group(tree: Tree) -> None:
    found = memory(tree("0::/a\n", V2, **unified("a", f"{7 * GIB}", 0)))
    assert found.available == 6 * GIB


def test_the_root_of_the_mount_is_taken_off_the_path(tree: Tree) -> None:
    mount = "36 25 0:31 /outer /sys/fs/with\\040space rw,nosuid shared:9 - cgroup2 cgroup rw\n"
    files = {"sys/fs/with space/c/memory.max": "77\n", "sys/fs/with space/memory.max": "500\n"}
    assert memory_limit(tree("0::/outer/c\n", mount, **files)) == 77


def test_a_path_outside_the_mount_means_the_mount_itself(tree: Tree) -> None:
    assert memory_limit(tree("0::/../other\n", V2, **unified("", "500"))) == 500


def test_version_1_walks_up_and_subtracts_the_file_pages_of_all_children(tree: Tree) -> None:
    root = tree(
        "4:memory:/a/b\n0::/\n",
        V1,
        **first("memory", UNLIMITED),
        **first("memory/a", f"{256 * MIB}\n", 200 * MIB, 50 * MIB),
        **first("memory/a/b", UNLIMITED, 3 * MIB),
    )
    found = memory(root)
    assert (found.limit, found.used) == (256 * MIB, 150 * MIB - 7)
    assert found.source == f"{root}/sys/fs/cgroup/memory/a"


def test_version_1_obeys_ancestors_that_a_container_cannot_see(tree: Tree) -> None:
    mount = V1.replace(" / ", " /kubepods/pod7/c ", 1)
    files = first("memory", UNLIMITED, 60 * MIB, 10 * MIB, inherited=str(512 * MIB))
    found = memory(tree("4:cpu,memory:/kubepods/pod7/c\n", mount, **files))
    assert (found.limit, found.used) == (512 * MIB, 50 * MIB - 7)


def test_version_1_without_a_limit_is_none(tree: Tree) -> None:
    assert memory_limit(tree("4:memory:/\n", V1, **first("memory", UNLIMITED))) is None


def test_mixed_versions_are_both_obeyed(tree: Tree) -> None:
    files = {**first("memory", UNLIMITED, inherited=f"{GIB}"), **unified("unified/u", f"{512 * MIB}")}
    mounts = V1 + V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
    assert memory_limit(tree("4:memory:/\n0::/u\n", mounts, **files)) == 512 * MIB


@pytest.mark.parametrize("wrong", ["", "nonsense", "-5", "max\nmax"])
def test_what_makes_no_sense_does_not_limit(tree: Tree, wrong: str) -> None:
    assert memory(tree("0::/a\n", V2, **unified("a", wrong, MIB))).source == "machine"


def test_a_machine_that_does_not_say_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"meminfo does not say.*memory_limit"):
        memory(str(tmp_path))


def test_a_limit_that_is_changed_is_seen_at_the_next_reading(tree: Tree) -> None:
    root = tree("0::/a\n", V2, **unified("a", f"{GIB}", MIB))
    with Reader(root) as reader:
        assert reader.memory().limit == GIB
        Path(root, "sys/fs/cgroup/a/memory.max").write_text(f"{2 * GIB}")
        assert reader.memory().limit == 2 * GIB


def test_a_process_that_is_moved_is_followed(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.limits.groups.CHECK_EVERY", 0.0)
    root = tree("0::/a\n", V2, **unified("a", f"{GIB}"), **unified("b", f"{2 * GIB}"))
    with Reader(root) as reader:
        assert reader.memory().limit == GIB
        Path(root, "proc/self/cgroup").write_text("0::/b\n")
        assert reader.memory().limit == 2 * GIB


def test_pressure_is_the_groups_own_where_there_is_one(tree: Tree) -> None:
    line = "some avg10=12.50 avg60=1.00 avg300=0.10 total=2500000\nfull avg10=3.25 avg60=0 avg300=0 total=1000000\n"
    root = tree("0::/a\n", V2, **group("a", memory__pressure=line, cgroup__type="domain\n"))
    found = pressure("memory", root)
    assert found is not None
    assert (found.some_avg10, found.full_avg10, found.some_total, found.full_total) == (12.5, 3.25, 2.5, 1.0)
    assert (found.source, found.host_wide) == (f"{root}/sys/fs/cgroup/a/memory.pressure", False)


def test_pressure_is_the_machines_elsewhere_and_says_so(tree: Tree) -> None:
    files = {"proc/pressure/cpu": "some avg10=1.00 avg60=0.00 avg300=0.00 total=7\n"}
    found = pressure("cpu", tree("0::/\n", V2, **files, **group("", cpu__pressure="some avg10=9.00 total=1\n")))
    assert found is not None
    assert (found.some_avg10, found.full_avg10, found.host_wide) == (1.0, 0.0, True)


def test_pressure_that_nobody_knows_is_none_and_of_what_nobody_knows_is_refused(tree: Tree) -> None:
    root = tree("0::/\n", V2)
    assert pressure("io", root) is None
    with pytest.raises(InvalidRequestError, match=r"'memroy'; known are cpu, io, memory.*memory"):
        pressure("memroy", root)


def test_throttling_is_that_of_the_tightest_quota(tree: Tree) -> None:
    stat = "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 1500000\n"
    root = tree(
        "0::/a/b\n", V2, **group("a", cpu__max="50000 100000", cpu__stat=stat), **group("a/b", cpu__max="max 100000")
    )
    assert throttled(root) == limits.Throttling(40, 10, 1.5)
    assert limits.cpu_quota(root) == 1
    with Reader(root) as reader:
        assert reader.cpu_share() == 0.5


def test_the_top_group_of_version_1_is_no_limit_but_the_top_of_a_container_is(tree: Tree) -> None:
    files = first("memory", f"{MIB}", inherited=f"{MIB}")
    assert memory_limit(tree("4:memory:/\n", V1, **files)) == MIB
    assert memory_limit(tree("4:memory:/\n", V1, **files, **group("memory", release_agent=""))) is None


def test_the_real_machine_agrees_with_itself() -> None:
    if not os.path.exists("/proc/meminfo"):
        pytest.skip("this system has no /proc/meminfo")
    found = memory()
    assert 0 < found.used <= found.limit
    assert found.available <= found.limit <= found.maximum <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_reader_works_on_in_a_forked_child() -> None:
    code = (
        "import os\nfrom framework.limits import Reader\n"
        "reader = Reader()\nreader.cpus()\nlimit = reader.memory_limit()\n"
        "pid = os.fork()\nif pid == 0:\n    os._exit(0 if reader.memory_limit() == limit else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60).stdout == b"0\n"


@pytest.fixture
def real_group() -> Iterator[str]:
    """A version 1 group of 256 MiB below our own, and a group without a limit inside it."""
    with MemoryGroup(256 * MIB) as parent:
        inner = os.path.join(parent.path, "inner")
        os.mkdir(inner)
        try:
            yield inner
        finally:
            os.rmdir(inner)


def test_a_real_nested_group_is_obeyed_and_measured(real_group: str) -> None:
    code = (
        "import json, os, sys\n"
        "open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from framework.limits import memory, memory_limit\n"
        "before = memory(); block = bytearray(b'x') * (64 << 20); after = memory()\n"
        "print(json.dumps([memory_limit(), before.limit, before.source, after.used - before.used, after.available]))"
    )
    command = [sys.executable, "-c", code, real_group]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    limit, told, source, grown, available = json.loads(done.stdout)
    assert limit == told == 256 * MIB
    assert source == os.path.dirname(real_group)
    assert 60 * MIB <= grown <= 72 * MIB
    assert available <= 196 * MIB
