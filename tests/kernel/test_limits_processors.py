import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from framework.errors import ResourceUnavailableError
from framework.limits import Reader, cpu_quota, cpus, directories, task_limit

CPUS = cpus("/proc/nowhere")  # what affinity alone says


def tree(root: Path, groups: str, mounts: str, files: dict[str, str]) -> str:
    """Write a /proc and control groups below a directory, and return it."""
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def v2(root: str = "/", point: str = "/sys/fs/cgroup") -> str:
    return f"30 23 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def v1(controllers: str, root: str = "/") -> str:
    return f"32 31 0:29 {root} /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,{controllers}\n"


def test_without_control_groups_affinity_decides(tmp_path: Path) -> None:
    assert cpu_quota(str(tmp_path)) is None
    assert cpus(str(tmp_path)) == CPUS >= 1


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", None),
        ("20000 100000", 1),
        ("100000 100000", 1),
        ("100001 100000", 2),
        ("350000 100000", 4),
        ("100000", None),
        ("", None),
        ("nonsense 100000", None),
        ("1 0", None),
    ],
)
def test_a_v2_quota_is_rounded_up(tmp_path: Path, limit: str, expected: int | None) -> None:
    root = tree(tmp_path, "0::/app\n", v2(), {"sys/fs/cgroup/app/cpu.max": limit})
    assert cpu_quota(root) == expected


def test_the_tightest_ancestor_decides(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/cpu.max": "150000 100000",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000",
        "sys/fs/cgroup/a/b/c/cpu.max": "800000 100000",
    }
    assert cpu_quota(tree(tmp_path, "0::/a/b/c\n", v2(), files)) == 2


def test_a_sibling_does_not_count(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/a/cpu.max": "max 100000", "sys/fs/cgroup/b/cpu.max": "10000 100000"}
    assert cpu_quota(tree(tmp_path, "0::/a\n", v2(), files)) is None


def test_v1_reads_quota_and_period_of_every_ancestor(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "250000\n",
        "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us": "100000\n",
    }
    assert cpu_quota(tree(tmp_path, "4:memory:/\n3:cpu,cpuacct:/x/y\n0::/\n", v1("cpu,cpuacct"), files)) == 3


def test_cpuacct_and_cpuset_are_not_cpu(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "1000", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "1000"}
    assert cpu_quota(tree(tmp_path, "3:cpuset,cpuacct:/x\n", v1("cpuset,cpuacct"), files)) is None


def test_mixed_versions_are_both_obeyed(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "300000",
        "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/unified/u/cpu.max": "200000 100000",
    }
    root = tree(tmp_path, "3:cpu:/x\n0::/u\n", v1("cpu") + v2(point="/sys/fs/cgroup/unified"), files)
    assert cpu_quota(root) == 2


def test_a_container_sees_its_group_at_the_mount_point(tmp_path: Path) -> None:
    """The host's path is in /proc/self/cgroup, and the mount shows only that subtree."""
    files = {"sys/fs/cgroup/cpu.max": "100000 100000", "sys/fs/cgroup/docker/77/cpu.max": "900000 100000"}
    assert cpu_quota(tree(tmp_path, "0::/docker/77\n", v2(root="/docker/77"), files)) == 1


def test_a_group_below_a_containers_root_walks_up_to_it(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "300000 100000", "sys/fs/cgroup/inner/cpu.max": "700000 100000"}
    assert cpu_quota(tree(tmp_path, "0::/docker/77/inner\n", v2(root="/docker/77"), files)) == 3


@pytest.mark.parametrize("root", ["/docker/7", "/../other"])
def test_a_mount_that_does_not_show_the_group_gives_its_own_limit(tmp_path: Path, root: str) -> None:
    files = {"sys/fs/cgroup/cpu.max": "200000 100000"}
    assert cpu_quota(tree(tmp_path, "0::/docker/77\n", v2(root=root), files)) == 2


def test_escaped_mount_points_are_found(tmp_path: Path) -> None:
    files = {"sys/fs/my groups/app/cpu.max": "200000 100000"}
    assert cpu_quota(tree(tmp_path, "0::/app\n", v2(point="/sys/fs/my\\040groups"), files)) == 2


def test_a_quota_never_raises_the_number_above_affinity(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/app\n", v2(), {"sys/fs/cgroup/app/cpu.max": "99900000 100000"})
    assert cpus(root) == CPUS


@pytest.mark.parametrize(("own", "above", "expected"), [("max", "50", 50), ("20", "50", 20), ("max", "max", None)])
def test_the_tightest_limit_on_tasks_decides(tmp_path: Path, own: str, above: str, expected: int | None) -> None:
    files = {"sys/fs/cgroup/a/pids.max": above, "sys/fs/cgroup/a/b/pids.max": own}
    assert task_limit(tree(tmp_path, "0::/a/b\n", v2(), files)) == expected


STAT = "cpu  100 20 30 9000 500 3 7 40 50 0\ncpu0 100 20 30 4000 500 3 7 40 50 0\ncpu1 0 0 0 5000 0 0 0 0 0 0\nintr 1\n"


def test_time_under_a_quota_is_that_of_the_group_which_has_it(tmp_path: Path) -> None:
    files = {
        "proc/stat": STAT,
        "sys/fs/cgroup/a/cpu.max": "50000 100000",
        "sys/fs/cgroup/a/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000",
        "sys/fs/cgroup/a/b/cpu.stat": "usage_usec 7\n",
    }
    with Reader(tree(tmp_path, "0::/a/b\n", v2(), files)) as reader:
        found = reader.cpu_time()
    assert (found.seconds, found.share, found.source) == (2.5, 0.5, f"{tmp_path}/sys/fs/cgroup/a")
    assert (found.machine_seconds, found.machine_cpus) == (200 / os.sysconf("SC_CLK_TCK"), 2)


def test_version_1_counts_time_in_a_hierarchy_of_its_own(tmp_path: Path) -> None:
    files = {
        "proc/stat": STAT,
        "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "25000",
        "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/acct/x/cpuacct.usage": "1500000000\n",
    }
    mounts = v1("cpu") + "33 31 0:30 / /sys/fs/cgroup/acct rw - cgroup cgroup rw,cpuacct\n"
    with Reader(tree(tmp_path, "3:cpuacct:/x\n2:cpu:/x\n", mounts, files)) as reader:
        assert (reader.cpu_time().seconds, reader.cpu_time().share) == (1.5, 0.25)


def test_without_a_quota_the_processors_of_the_affinity_mask_count(tmp_path: Path) -> None:
    files = {"proc/stat": STAT + "".join(f"cpu{n} 0 0 0 1 0 0 0 0 0 0\n" for n in range(2, 200))}
    with Reader(tree(tmp_path, "", "", files)) as reader:
        found = reader.cpu_time()
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    assert found.source == "machine"
    assert found.seconds == (200 / os.sysconf("SC_CLK_TCK") if 0 in own else 0)


def test_a_system_that_does_not_count_time_says_so(tmp_path: Path) -> None:
    with Reader(str(tmp_path)) as reader, pytest.raises(ResourceUnavailableError, match=r"no .*proc/stat"):
        reader.cpu_time()


def test_affinity_of_a_real_process_is_obeyed() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); from framework.limits import cpus as u; print(u())"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"1\n"


@contextmanager
def real_group(quota_us: int) -> Iterator[str]:
    """Make a version 1 group below our own, with a quota of so many microseconds in 100 ms."""
    own = next((path for path, unified in directories("cpu") if not unified), "")
    if not own:
        pytest.skip("the version 1 controller cpu is not mounted here")
    group = os.path.join(own, f"framework-test-{os.getpid()}")
    try:
        os.mkdir(group)
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        Path(group, "cpu.cfs_period_us").write_text("100000")
        Path(group, "cpu.cfs_quota_us").write_text(str(quota_us))
        yield group
    finally:
        os.rmdir(group)


def test_a_real_quota_of_a_fifth_leaves_one_cpu() -> None:
    if CPUS == 1:
        pytest.skip("one CPU by affinity alone: the quota would make no difference")
    with real_group(20000) as group:
        code = (
            f"import os; open({group!r} + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "from framework.limits import cpu_quota, cpus; print(cpu_quota(), cpus())"
        )
        assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"1 1\n"
