"""The commands on a pool that a program keeps in a directory."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import ResourceStatus
from plugin_pool import ResourcePool, StatusReport
from plugin_pool.cli.copying import copied

Run = Callable[..., subprocess.CompletedProcess[str]]
Files = dict[str, bytes]

ENTITIES = (
    {"id": "executor-1", "type": "executor", "capabilities": {"web_search": 8}},
    {"id": "executor-2", "type": "executor", "capabilities": {"web_search": 4}},
    {"id": "executor-3", "type": "executor"},
    {"id": "reviewer-1", "type": "reviewer"},
    {"id": "tool-1", "type": "tool"},
)


def fill(pool: ResourcePool) -> None:
    """Have entities that are free, held, faulty and drained."""
    for one in ENTITIES:
        pool.add_resource(one)
    assert pool.allocate_resources("report", {"type": "executor", "ids": ["executor-1"]})
    pool.mark_executing("report")
    pool.quarantine_resource("executor-2")
    pool.drain("tool-1")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    with ResourcePool.open(tmp_path / "kept") as pool:
        fill(pool)
    return tmp_path / "kept"


def files(folder: Path) -> Files:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.mark.parametrize(
    ("needs", "code", "tier", "said"),
    [
        (["executor", "reviewer"], 0, "free", "can have everything now: 1 executor; 1 reviewer"),
        (["2*executor:web_search=5"], 4, "impossible", "2 executor (web_search >= 5) needed, 1 in the pool"),
        (["executor:web_search=5"], 3, "busy", "executor-1 is held by 'report' for"),
        (["3*executor"], 3, "error", "executor-2 is in error"),
        (["tool"], 3, "error", "A repair of 1 tool, as tool-1, would do"),
        (["report"], 0, "free", "The task 'report' waits for nothing; it holds executor-1."),
        (["1*report"], 4, "impossible", "1 report needed, none in the pool"),
    ],
)
def test_each_tier_is_explained(framework: Run, kept: Path, needs: list[str], code: int, tier: str, said: str) -> None:
    done = framework("pool", "explain", *needs, "--state", "kept", "-o", "json")

    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    assert found["tier"] == tier
    assert said in found["sentence"]


def test_why_prints_a_task_as_a_sentence(framework: Run, kept: Path) -> None:
    done = framework("why", "report", "--state", "kept")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "The task 'report' waits for nothing; it holds executor-1.\n"


def test_what_is_held_faulty_and_drained_is_shown(framework: Run, kept: Path) -> None:
    status = json.loads(framework("pool", "status", "--state", "kept", "-o", "json").stdout)
    assert {name: count for name, count in status.items() if count} == {
        "total_resources": 5, "available": 2, "busy": 1, "error": 1, "released": 1,
    }  # fmt: skip

    listed = framework("pool", "list", "--state", "kept", "-o", "ndjson").stdout.splitlines()
    rows = {row["id"]: row for row in map(json.loads, listed)}
    assert (rows["executor-1"]["status"], rows["executor-1"]["tasks"]) == ("busy", ["report"])
    assert (rows["tool-1"]["status"], rows["tool-1"]["draining"]) == ("released", True)
    error = framework("pool", "list", "--state", "kept", "--status", "error", "-o", "json")
    assert [row["id"] for row in json.loads(error.stdout)] == ["executor-2"]

    checked = framework("pool", "check", "2*executor", "--state", "kept", "-o", "json")
    assert checked.returncode == 3
    assert json.loads(checked.stdout)["tier"] == "busy"


def test_looking_changes_nothing_also_while_a_program_has_it_open(framework: Run, tmp_path: Path) -> None:
    with ResourcePool.open(tmp_path / "kept") as pool:
        fill(pool)
        before = files(tmp_path / "kept")

        done = framework("why", "executor:web_search=5", "--state", "kept")
        assert done.returncode == 3
        assert "executor-1 is held by 'report'" in done.stderr
        assert files(tmp_path / "kept") == before

        refused = framework("pool", "repair", "executor-2", "--state", "kept")
        assert refused.returncode == 3
        assert f"open in process {os.getpid()} already" in refused.stderr
        assert pool.get_resource("executor-2").status is ResourceStatus.ERROR
    assert set(os.listdir(tmp_path)) <= {"framework.yaml", "kept", "state"}


def test_a_lease_whose_time_is_over_is_shown_as_whoever_opens_the_pool_would_find_it(
    framework: Run, tmp_path: Path
) -> None:
    with ResourcePool.open(tmp_path / "kept") as pool:
        fill(pool)
        assert pool.allocate_resources("brief", {"type": "reviewer"}, ttl=0.001)
    before = files(tmp_path / "kept")

    done = framework("pool", "list", "--type", "reviewer", "--state", "kept", "-o", "json")

    (row,) = json.loads(done.stdout)
    assert row["status"] in ("error", "deployed"), "expired, or about to"
    assert files(tmp_path / "kept") == before


def test_changes_are_kept(framework: Run, kept: Path) -> None:
    def changed(*arguments: str) -> list[dict[str, object]]:
        done = framework("pool", *arguments, "--state", "kept", "-o", "json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, object]] = json.loads(done.stdout)
        return rows

    (added,) = changed("add", "executor-4", "executor:web_search=9,file_ops=2", "--label", "zone=a", "--capacity", "3")
    assert (added["capabilities"], added["labels"], added["capacity"]) == (
        {"file_ops": 2, "web_search": 9}, {"zone": "a"}, 3,
    )  # fmt: skip
    assert [row["status"] for row in changed("repair", "executor-2", "tool-1")] == ["available", "available"]
    assert [row["id"] for row in changed("remove", "executor-2", "executor-3")] == ["executor-2", "executor-3"]
    (drained,) = changed("drain", "executor-1")
    assert (drained["status"], drained["draining"], drained["tasks"]) == ("busy", True, ["report"])

    with ResourcePool.open(kept) as pool:
        assert [one.id for one in pool.get_resources()] == ["executor-1", "reviewer-1", "tool-1", "executor-4"]
        assert pool.get_resource("executor-4").labels == {"zone": "a"}
        assert pool.get_resource("executor-1").draining
        assert pool.get_resource("tool-1").status is ResourceStatus.AVAILABLE
        held = pool.get_allocation("report")
        assert held is not None
        assert held.expires_in is None, "a command says nothing of whose lease it is"

    assert len(changed("drain", "--all")) == 4
    with ResourcePool.open(kept) as pool:
        assert all(one.draining for one in pool.get_resources())


def test_adding_begins_a_pool_where_there_is_none(framework: Run, tmp_path: Path) -> None:
    done = framework("pool", "add", "first", "executor", "--state", "new")

    assert done.returncode == 0, done.stderr
    with ResourcePool.open(tmp_path / "new") as pool:
        assert [one.id for one in pool.get_resources()] == ["first"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["remove", "executor-3", "executor-1"], 3, "'executor-1' cannot be removed: it is held by 'report'. Drain it"),
        (["remove", "executor-3", "executor-9"], 2, "Did you mean 'executor-"),
        (["repair", "executor-2", "tool-2"], 2, "no resource 'tool-2'"),
        (["add", "executor-1", "executor"], 2, "a resource 'executor-1' already"),
        (["add", "new", "executor:web_search"], 2, "'web_search' in 'executor:web_search' has no level"),
        (["add", "new", "executor", "--label", "zone"], 2, "The label 'zone' has no value. Write it as zone=a."),
        (["add", "\x1b[1m", "executor"], 2, r"'\x1b[1m'"),
        (["drain", "executor-3", "--all"], 2, "Name entities, or give --all."),
    ],
    ids=range(8),
)
def test_what_cannot_be_changed_is_left_as_it_was(
    framework: Run, kept: Path, arguments: list[str], code: int, said: str
) -> None:
    done = framework("pool", *arguments, "--state", "kept")

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "\x1b" not in done.stderr
    with ResourcePool.open(kept) as pool:
        assert [one.id for one in pool.get_resources()] == [str(one["id"]) for one in ENTITIES]
        assert pool.get_resource("executor-2").status is ResourceStatus.ERROR
        assert pool.get_resource("executor-3").status is ResourceStatus.AVAILABLE


@pytest.mark.parametrize("arguments", [["add", "e", "executor"], ["drain", "e"]])
def test_the_pool_of_the_configuration_is_not_changed(framework: Run, arguments: list[str]) -> None:
    done = framework("pool", *arguments, pool="{resources: [{id: e, type: executor}]}")

    assert done.returncode == 2
    assert "Edit plugins.pool.resources, or name the directory of a kept pool with --state." in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "The directory 'nowhere' cannot be read: No such file or directory"),
        ("file", "The directory 'file' cannot be read: Not a directory"),
        ("empty", "There is no pool in 'empty'"),
        ("other", "There is no pool in 'other'"),
        ("a\nb", r"The directory 'a\nb' cannot be read: No such file"),
    ],
    ids=range(5),
)
def test_a_directory_without_a_pool_is_refused_and_left_alone(
    framework: Run, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("Dear")

    done = framework("pool", *(["remove", "e"] if name == "other" else ["status"]), "--state", name)

    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "nowhere").exists()
    assert os.listdir(tmp_path / "empty") == []
    assert os.listdir(tmp_path / "other") == ["letter"]


def test_a_damaged_pool_is_named_and_left_alone(framework: Run, kept: Path) -> None:
    (snapshot, *_) = sorted(kept.glob("snapshot-*"))
    raw = bytearray(snapshot.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    snapshot.write_bytes(raw)
    before = files(kept)

    for verb in (["status"], ["repair", "executor-2"]):
        done = framework("pool", *verb, "--state", "kept")
        assert done.returncode == 3
        assert f"The file '{snapshot}' of a pool is " in done.stderr
        assert "Traceback" not in done.stderr
    assert {name: content for name, content in files(kept).items() if name != "lock"} == {
        name: content for name, content in before.items() if name != "lock"
    }


def test_a_workload_is_played_with_the_entities_in_service_of_a_kept_pool(
    framework: Run, kept: Path, tmp_path: Path
) -> None:
    (tmp_path / "w.yaml").write_text("streams: [{arrival: {every: 1}, requirements: 2*executor, duration: 0.5}]")
    options = ["pool", "simulate", "--time", "10", "--strategy", "best_fit", "--state", "kept"]

    done = framework(*options, "--workload", "w.yaml", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "came to 3 places" in done.stderr
    assert json.loads(done.stdout)[0]["refused"] == 0

    refused = framework(*options)
    assert refused.returncode == 2
    assert "The example lists resources, and --state names others." in refused.stderr


def test_the_setting_names_the_pool_with_the_entities_of_the_configuration(framework: Run, kept: Path) -> None:
    pool = "{state: kept, resources: [{id: new, type: api}]}"
    before = files(kept)

    listed = framework("pool", "list", "-o", "json", pool=pool)
    assert listed.returncode == 0, listed.stderr
    assert [row["id"] for row in json.loads(listed.stdout)] == [*[one["id"] for one in ENTITIES], "new"]
    assert files(kept) == before
    assert framework("why", "executor:web_search=5", pool=pool).returncode == 3

    assert framework("pool", "repair", "executor-2", pool=pool).returncode == 0
    with ResourcePool.open(kept) as opened:
        assert opened.get_resource("executor-2").status is ResourceStatus.AVAILABLE
        assert len(opened.get_resources()) == 5, "the entities of the configuration are for the program to add"


def test_a_setting_that_names_no_pool_yet_is_no_fault(framework: Run, tmp_path: Path) -> None:
    pool = "{state: later, resources: [{id: new, type: api}]}"

    done = framework("pool", "status", "-o", "json", pool=pool)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total_resources"] == 1
    assert not (tmp_path / "later").exists()
    wrong = framework("pool", "status", pool="{patience: -1}")
    assert wrong.returncode == 2
    assert "'plugins.pool.patience' is wrong" in wrong.stderr


def test_a_pool_can_be_copied_while_a_program_changes_it(tmp_path: Path) -> None:
    over = threading.Event()

    def work() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            assert pool.allocate_resources(f"task-{number}", {"type": "executor", "count": 3})
            pool.release_resources(f"task-{number}")

    def report(copy: ResourcePool) -> StatusReport:
        return copy.get_status_report()

    with ResourcePool.open(tmp_path / "kept") as pool:
        for number in range(100):
            pool.add_resource({"id": f"executor-{number}", "type": "executor"})
        worker = threading.Thread(target=work)
        worker.start()
        try:
            for _ in range(10):
                found = copied(str(tmp_path / "kept"), lambda copy: ResourcePool.open(copy, grace=None), report)
                assert found.total_resources == 100
                assert found.available in (97, 100)
        finally:
            over.set()
            worker.join()
