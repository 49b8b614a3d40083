"""A pool that is kept in a directory is as it was when it is opened again."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from framework.errors import FrameworkError, InvalidRequestError, PolicyError, ResourceUnavailableError
from plugin_pool import Orchestrator, ResourcePool
from plugin_pool.keeping import journal, keeper
from plugin_pool.keeping.kept import KeptPool
from plugin_pool.keeping.persistence import Durability
from plugin_pool.keeping.snapshot import Snapshot

ENTITIES: list[dict[str, Any]] = [
    {"id": "a", "type": "executor", "capabilities": {"web_search": 8, "file_ops": 2}, "labels": {"zone": "b"}},
    {"id": "b", "type": "executor", "capabilities": {"web_search": 8, "file_ops": 2}, "labels": {"zone": "b"}},
    {"id": "c", "type": "api", "capacity": 3, "name": 'Бета \U0001f600 "quoted" \\ back'},
    {"id": "d", "type": "tool"},
]


def filled(path: Path, **parameters: Any) -> KeptPool:
    pool = ResourcePool.open(path, **parameters)
    for one in ENTITIES:
        pool.add_resource(one)
    return pool


def looks(pool: ResourcePool) -> tuple[object, ...]:
    """Return all that can be seen of a pool."""
    leases = [pool.get_allocation(one) for one in sorted(pool._stock.leases)]
    entities = sorted([pool._stock.instance(one) for one in pool._stock.entities.values()], key=lambda one: one.id)
    held = [(one.task_id, one.allocated_resources, one.status, one.epoch) for one in leases if one]
    return entities, held, pool.get_status_report()


def crashed(pool: KeptPool) -> None:
    """Let go of the files as they are, as a process does that is killed."""
    pool._expiry.close()
    pool._keeper.let_go()


@pytest.mark.parametrize("end", [KeptPool.close, crashed], ids=["closed", "crashed"])
@pytest.mark.parametrize("snapshot", [False, True], ids=["journal", "snapshot"])
def test_everything_is_there_again(tmp_path: Path, end: Any, snapshot: bool) -> None:
    pool = filled(tmp_path / "pool")
    pool.allocate_resources("one", [{"type": "executor"}, {"type": "api"}])
    pool.mark_executing("one")
    pool.allocate_resources("two", {"type": "api"}, ttl=3600)
    pool.extend("two", {"type": "tool"})
    pool.quarantine_resource("c")
    pool.drain("b")
    pool.allocate_resources("gone", {"type": "executor"})
    pool.release_resources("gone", "failed")
    if snapshot:
        pool._keeper.renew()
        pool.repair_resource("c")
    before = looks(pool)
    end(pool)
    with ResourcePool.open(tmp_path / "pool") as again:
        assert looks(again) == before
        two = again.get_allocation("two")
        assert two is not None
        assert two.expires_in is not None
        assert 3000 < two.expires_in <= 3600
        assert again.persistence.notes == ()
        assert again.release_resources("two")
        assert again.get_resource("d").status.value == "available"


@pytest.mark.parametrize("reason", ["completed", "failed", "cancelled"])
def test_what_was_released_is_not_held_and_what_failed_is_in_error(tmp_path: Path, reason: str) -> None:
    pool = filled(tmp_path)
    pool.allocate_resources("one", {"type": "tool"})
    pool.release_resources("one", reason)
    pool.remove_resource("a")
    before = looks(pool)
    crashed(pool)
    with ResourcePool.open(tmp_path) as again:
        assert looks(again) == before
        assert again.get_resource("d").status.value == ("error" if reason == "failed" else "available")


@pytest.mark.parametrize("durability", list(Durability))
def test_epochs_never_come_back(tmp_path: Path, durability: Durability) -> None:
    seen: set[int] = set()
    for end in (crashed, KeptPool.close, crashed, crashed):
        pool = ResourcePool.open(tmp_path, durability=durability)
        if not pool.get_status_report().total_resources:
            pool.add_resource(ENTITIES[3])
        for _ in range(3):
            pool.release_resources("task")
            epoch = pool.allocate_resources("task", {"type": "tool"}).epoch
            assert epoch not in seen
            seen.add(epoch)
        assert not pool.release_resources("task", epoch=min(seen) - 1)
        end(pool)


def test_a_late_release_of_a_former_life_is_refused(tmp_path: Path) -> None:
    pool = filled(tmp_path)
    old = pool.allocate_resources("task", {"type": "tool"})
    pool.release_resources("task")
    crashed(pool)
    with ResourcePool.open(tmp_path) as again:
        new = again.allocate_resources("task", {"type": "tool"})
        assert new.epoch > old.epoch
        assert not again.release_resources("task", epoch=old.epoch)
        assert again.release_resources("task", epoch=new.epoch)


def test_without_durability_it_is_as_it_was_when_it_was_closed(tmp_path: Path) -> None:
    filled(tmp_path, durability="none").close()
    pool = ResourcePool.open(tmp_path, durability="none")
    pool.remove_resource("a")
    crashed(pool)
    with ResourcePool.open(tmp_path, durability="none") as again:
        assert "kept with durability none: what happened last is lost" in again.persistence.notes[0]
        assert again.get_status_report().total_resources == len(ENTITIES)
        again.remove_resource("b")
    with ResourcePool.open(tmp_path) as again:
        assert again.persistence.notes == ()
        assert again.get_status_report().total_resources == len(ENTITIES) - 1


def test_a_long_journal_is_followed_by_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LONG", 1000)
    pool = filled(tmp_path)
    pool.allocate_resources("kept", {"type": "tool"})
    request = pool.prepare({"type": "executor"})
    for _ in range(20):
        while pool._keeper._thread is None and pool.persistence.records < 100_000:
            pool.allocate_resources("task", request)
            pool.release_resources("task")
            if pool.persistence.journal_bytes > 200_000:
                pytest.fail("no snapshot was begun")
        if (thread := pool._keeper._thread) is not None:
            thread.join(60)
    assert pool._keeper._journal.generation > 2
    before = looks(pool)
    crashed(pool)
    files = sorted(one.name[:8] for one in tmp_path.iterdir())
    assert files == ["journal-", "lock", "snapshot"]
    with ResourcePool.open(tmp_path) as again:
        assert looks(again) == before


def test_it_says_how_it_is_kept(tmp_path: Path) -> None:
    assert ResourcePool().persistence is None
    with filled(tmp_path / "pool") as pool:
        found = pool.persistence
        assert (found.path, found.durability, found.degraded) == (str(tmp_path / "pool"), "buffered", "")
        assert found.records > len(ENTITIES)
        assert 0 < found.journal_bytes == (tmp_path / "pool" / "journal-00000001").read_bytes().find(b"\0")
        pool._keeper.renew()
        assert pool.persistence.records == 2
        assert pool.persistence.snapshot_bytes == (tmp_path / "pool" / "snapshot-00000002").stat().st_size


def test_files_are_private_and_can_be_read_by_people(tmp_path: Path) -> None:
    filled(tmp_path / "pool").close()
    assert stat.S_IMODE((tmp_path / "pool").stat().st_mode) == 0o700
    for one in (tmp_path / "pool").iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
    lines = (tmp_path / "pool" / "journal-00000001").read_text("ascii").splitlines()
    records = [json.loads(line.partition(" ")[2]) for line in lines]
    assert [one[0] for one in records][-2:] == ["added", "closed"]


def test_one_at_a_time(tmp_path: Path) -> None:
    with (
        filled(tmp_path),
        pytest.raises(ResourceUnavailableError, match=r"open in this process already.*Close it there"),
    ):
        ResourcePool.open(tmp_path)
    with ResourcePool.open(tmp_path) as pool:
        code = f"from plugin_pool import ResourcePool\nResourcePool.open({str(tmp_path)!r})"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"is open in process {os.getpid()} already" in ended.stderr
        assert pool.get_status_report().total_resources == len(ENTITIES)


def test_a_child_writes_nothing(tmp_path: Path) -> None:
    code = f"""
        import os
        from plugin_pool import ResourcePool
        pool = ResourcePool.open({str(tmp_path)!r})
        pool.add_resource({{"id": "d", "type": "tool"}})
        if (child := os.fork()) == 0:
            pool.allocate_resources("of the child", {{"type": "tool"}})
            assert "forked" in pool.persistence.degraded
            pool.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        pool.allocate_resources("of the parent", {{"type": "tool"}})
        assert pool.persistence.degraded == ""
        os._exit(0)  # and never closes it
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    with ResourcePool.open(tmp_path, grace=None) as again:
        assert again.get_resource("d").tasks == ("of the parent",)


def test_a_child_that_goes_on_does_not_keep_it_open(tmp_path: Path) -> None:
    code = f"""
        import os, sys
        from plugin_pool import ResourcePool
        pool = ResourcePool.open({str(tmp_path)!r})
        if os.fork() == 0:
            print("ready", flush=True)
            sys.stdin.read()
        os._exit(0)
        """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert process.wait(60) == 0
        ResourcePool.open(tmp_path).close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"durability": "fsnyc"}, "durability is 'fsnyc'.*Did you mean 'fsync'"),
        ({"recover": "yes"}, "How to recover is 'yes'; strict, salvage"),
        ({"grace": -1}, "The grace is -1"),
        ({"ask_timeout": "soon"}, "The time for answers is 'soon'"),
        ({"ask": 7}, "Who is asked is 7"),
        ({"path": ""}, "The directory of a pool is ''"),
        ({"path": "a\0b"}, "the path of a directory is allowed"),
        ({"path": 3}, "The directory of a pool is 3"),
        ({"strategy": "first_fti"}, "There is no strategy"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        ResourcePool.open(**{"path": tmp_path / "pool", **given})
    assert not (tmp_path / "pool").exists()


def test_a_directory_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidRequestError, match="contains 'file', and no pool"):
        ResourcePool.open(tmp_path)
    with pytest.raises(ResourceUnavailableError, match="not a directory"):
        ResourcePool.open(tmp_path / "file")
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o770)
    with pytest.raises(PolicyError, match="may be written to by others"):
        ResourcePool.open(tmp_path / "open")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    os.chown(tmp_path / "pool", 12345, 12345)
    with pytest.raises(PolicyError, match="belongs to user 12345"):
        ResourcePool.open(tmp_path / "pool")


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "pool").close()
    (tmp_path / "pool").chmod(0o500)
    code = f"""
        import os
        import plugin_pool.keeping.opening  # which another user perhaps may not read
        from plugin_pool import ResourcePool
        path = {str(tmp_path / "pool")!r}
        if os.geteuid() == 0:  # whom no mode stops
            os.chown(path, 12345, 12345)
            for one in os.scandir(path):
                os.chown(one.path, 0, 0)
            os.setgroups([])
            os.setuid(12345)
        ResourcePool.open(path)
        """
    for one in (tmp_path, *tmp_path.parents):  # another user must be able to get there
        if one.stat().st_uid == os.geteuid() and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
    (tmp_path / "pool" / "lock").chmod(0o400)
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    (tmp_path / "pool").chmod(0o700)
    assert "cannot be used: permission denied. Name a directory" in ended.stderr


def test_with_fsync_threads_share_what_they_wait_for(tmp_path: Path) -> None:
    with ResourcePool.open(tmp_path, durability="fsync") as pool:
        pool.add_resource({"id": "shared", "type": "api", "capacity": 16})
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for _ in range(10):
                    with pool.acquire(f"task-{number}", {"type": "api"}, timeout=60):
                        pass
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=[number]) for number in range(16)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert errors == []
        assert pool.get_status_report().available == 1


async def test_with_fsync_coroutines_and_orchestrators_get_what_is_on_the_disk(tmp_path: Path) -> None:
    with filled(tmp_path, durability="fsync") as pool:
        with await pool.acquire_async("task", {"type": "tool"}) as lease:
            assert pool._keeper._commit.done >= (1, 1)
            await pool.extend_async("task", {"type": "api"})
            assert lease.resources == ("d", "c")
        orchestrator = Orchestrator(pool)
        orchestrator.submit("other", {"type": "tool"})
        done = pool._keeper._commit.done
        given = orchestrator.next(timeout=10)
        assert given is not None
        assert pool._keeper._commit.done > done


@pytest.mark.parametrize("level", ["buffered", "fsync"])
def test_after_it_was_closed_nothing_is_kept(tmp_path: Path, level: str) -> None:
    pool = filled(tmp_path, durability=level)
    pool.close()
    pool.close()
    assert pool.persistence.degraded == "the pool was closed"
    pool.remove_resource("a")
    if level == "fsync":
        with pytest.raises(ResourceUnavailableError, match="the pool was closed"):
            pool.allocate_resources("task", {"type": "tool"})
        assert pool.get_allocation("task") is None
    with ResourcePool.open(tmp_path) as again:
        assert again.get_status_report().total_resources == len(ENTITIES)


def test_every_error_is_of_the_framework(tmp_path: Path) -> None:
    pool = filled(tmp_path)
    crashed(pool)
    (tmp_path / "journal-00000001").unlink()
    (tmp_path / "journal-00000001").mkdir()
    with pytest.raises(FrameworkError, match="journal-00000001' of a pool cannot be read: is a directory"):
        ResourcePool.open(tmp_path)


def test_many_threads_and_snapshots_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LONG", 5000)
    monkeypatch.setattr(journal, "FIRST", 4096)
    monkeypatch.setattr(journal, "_MOST", 4096)
    pool = filled(tmp_path)
    pool.add_resources([{"id": f"more-{number}", "type": "more", "capacity": 2} for number in range(4)])
    errors: list[BaseException] = []
    until = time.monotonic() + 100

    def work(number: int) -> None:
        chosen = random.Random(number)
        try:
            while pool._keeper._journal.generation < 5 and time.monotonic() < until:
                task = f"task-{number}-{chosen.randrange(3)}"
                if not pool.release_resources(task, chosen.choice(["completed", "cancelled"])):
                    pool.allocate_resources(task, {"type": chosen.choice(["executor", "more"])})
                pool.mark_executing(task)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert pool.persistence.degraded == ""
    if (running := pool._keeper._thread) is not None:
        running.join(60)
    assert pool._keeper._journal.generation >= 5
    before = looks(pool)
    crashed(pool)
    with ResourcePool.open(tmp_path) as again:
        assert looks(again) == before


def test_a_crash_while_a_snapshot_is_written(tmp_path: Path) -> None:
    """Whatever has been written of it by then, what was there before is good, and the next one is made."""
    pool = filled(tmp_path / "pool")
    pool.allocate_resources("one", {"type": "tool"})
    monkey = Snapshot.write

    def torn(self: Snapshot, path: str, generation: int) -> int:
        pool.allocate_resources("two", {"type": "executor"})  # meanwhile
        shutil.copytree(tmp_path / "pool", tmp_path / "before")
        (tmp_path / "before" / f"{os.path.basename(path)}.tmp").write_bytes(b"half of it")
        size = monkey(self, path, generation)
        shutil.copytree(tmp_path / "pool", tmp_path / "after")
        return size

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Snapshot, "write", torn)
        pool._keeper.renew()
    expected = looks(pool)
    pool.close()
    for name in ("before", "after"):
        with ResourcePool.open(tmp_path / name) as again:
            assert looks(again) == expected
            assert again.persistence.notes == ()
            again._keeper.renew()
        assert len(list((tmp_path / name).iterdir())) == 3
