"""Where control groups are made, in trees of files as systems have them; and what is written to those of version 2."""

from pathlib import Path

import pytest

from plugin_process.group import ControlGroup
from plugin_process.hierarchies import Place, places

V1 = "31 23 0:28 {root} /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}"
V2 = "41 31 0:38 {root} /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
ALL = ["memory", "cpu", "pids", ""]


@pytest.fixture
def tree(tmp_path: Path) -> "Tree":
    return Tree(tmp_path)


class Tree:
    """A directory that looks like the root of a system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def proc(self, cgroup: str, *mounts: str) -> None:
        (self.root / "proc/self").mkdir(parents=True)
        (self.root / "proc/self/cgroup").write_text(cgroup)
        (self.root / "proc/self/mountinfo").write_text("\n".join(mounts) + "\n")

    def group(self, path: str, **files: str) -> str:
        """Make a group; two underscores in the name of a file stand for a point."""
        directory = self.root / "sys/fs/cgroup" / path
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name.replace("__", ".")).write_text(text)
        return str(directory)

    def found(self, *controllers: str) -> dict[str, Place]:
        return places(controllers or ALL, str(self.root))


def test_without_control_groups_there_is_no_place(tree: Tree) -> None:
    assert tree.found() == {}
    tree.proc("", "22 1 8:1 / / rw - ext4 /dev/root rw")
    assert tree.found() == {}


def test_version_one_nests_in_the_own_group_of_each_controller(tree: Tree) -> None:
    tree.proc(
        "5:memory:/a/b\n4:cpu,cpuacct:/a\n3:name=systemd:/\n",
        V1.format(root="/", name="memory"),
        V1.format(root="/", name="cpu,cpuacct"),
    )
    memory, cpu = tree.group("memory/a/b"), tree.group("cpu,cpuacct/a")

    assert tree.found() == {"memory": Place(memory, unified=False), "cpu": Place(cpu, unified=False)}


def test_what_a_mount_does_not_show_is_taken_off(tree: Tree) -> None:
    tree.proc(
        "5:memory:/docker/x/y\n4:pids:/elsewhere\n",
        V1.format(root="/docker/x", name="memory"),
        V1.format(root="/docker/x", name="pids"),
    )
    memory = tree.group("memory/y")
    tree.group("pids")

    assert tree.found() == {"memory": Place(memory, unified=False)}


def test_both_versions_are_used_where_both_are_mounted(tree: Tree) -> None:
    unified = V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ").format(root="/")
    tree.proc("5:memory:/\n0::/\n", V1.format(root="/", name="memory"), unified)
    memory = tree.group("memory")
    whole = tree.group("unified", cgroup__controllers="hugetlb", cgroup__subtree_control="")

    assert tree.found() == {"memory": Place(memory, unified=False), "": Place(whole, unified=True)}


def test_version_two_uses_the_own_group_if_that_hands_its_controllers_on(tree: Tree) -> None:
    tree.proc("0::/app\n", V2.format(root="/"))
    own = tree.group("app", cgroup__type="domain", cgroup__subtree_control="cpu memory pids")

    assert set(tree.found().values()) == {Place(own, unified=True)}


def test_version_two_goes_beside_the_own_group_and_asks_for_controllers(tree: Tree) -> None:
    tree.proc("0::/app/main\n", V2.format(root="/"))
    above = tree.group(
        "app", cgroup__type="domain", cgroup__controllers="cpu memory pids", cgroup__subtree_control="cpu"
    )
    tree.group("app/main", cgroup__type="domain", cgroup__subtree_control="", memory__max="max", cpu__max="max 100000")

    assert tree.found() == dict.fromkeys(ALL, Place(above, unified=True))
    assert Path(above, "cgroup.subtree_control").read_text().startswith("+")


def test_no_limit_of_the_own_group_is_got_around(tree: Tree) -> None:
    tree.proc("0::/app/main\n", V2.format(root="/"))
    above = tree.group(
        "app", cgroup__type="domain", cgroup__controllers="memory", cgroup__subtree_control="memory pids"
    )
    tree.group("app/main", cgroup__type="domain", cgroup__subtree_control="", memory__max="1048576", pids__max="max")

    assert tree.found("memory", "pids", "") == dict.fromkeys(["pids", ""], Place(above, unified=True))


def test_the_root_of_the_machine_is_left_as_it_is(tree: Tree) -> None:
    tree.proc("0::/main\n", V2.format(root="/"))
    root = tree.group("", cgroup__controllers="cpu memory pids", cgroup__subtree_control="")
    own = tree.group("main", cgroup__type="domain", cgroup__subtree_control="", memory__max="max")

    assert tree.found() == {"": Place(own, unified=True)}
    assert Path(root, "cgroup.subtree_control").read_text() == ""


def test_a_container_that_sees_its_own_group_only_stays_in_it(tree: Tree) -> None:
    tree.proc("0::/\n", V2.format(root="/"))
    own = tree.group("", cgroup__type="domain", cgroup__controllers="memory", cgroup__subtree_control="")

    assert tree.found() == {"": Place(own, unified=True)}


FILES = [
    ("memory", 65536, {"memory.max": "65536", "memory.swap.max": "0", "memory.oom.group": "1"}),
    ("cpu", 1.5, {"cpu.max": "150000 100000"}),
    ("cpu", 0.001, {"cpu.max": "1000 100000"}),
    ("pids", 7, {"pids.max": "7"}),
]


@pytest.mark.parametrize(("controller", "value", "expected"), FILES)
def test_limits_of_version_two_are_written_as_it_wants_them(
    tmp_path: Path, controller: str, value: float, expected: dict[str, str]
) -> None:
    group = ControlGroup("g", {controller: Place(str(tmp_path), unified=True)})
    (directory,) = group.directories
    group.make(directory)
    for name in expected:
        Path(directory, name).touch()

    assert group.limit(controller, value) == ("cgroup2", value)
    assert {name: Path(directory, name).read_text() for name in expected} == expected


def test_what_version_two_says_of_memory_is_understood(tmp_path: Path) -> None:
    group = ControlGroup("g", {"memory": Place(str(tmp_path), unified=True)})
    group.make(group.directories[0])
    events = Path(group.directories[0], "memory.events")
    Path(group.directories[0], "memory.peak").write_text("4096\n")

    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n")
    assert group.out_of_memory() == 0
    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n")
    assert (group.out_of_memory(), group.peak()) == (2, 4096)


def test_a_limit_without_a_group_is_refused_with_the_reason(tmp_path: Path) -> None:
    group = ControlGroup("g", {"memory": Place(str(tmp_path / "missing"), unified=True)})
    group.make(group.directories[0])

    with pytest.raises(OSError, match="no control group for memory can be made"):
        group.limit("memory", 4096)
    group.remove()
