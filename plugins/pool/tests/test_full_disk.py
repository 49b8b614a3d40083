"""A disk that is full: the pool goes on, says so, and is kept again when there is room."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_pool import ResourcePool
from plugin_pool.keeping.kept import KeptPool

SMALL = """
import os, resource, sys, time
from framework.errors import ResourceUnavailableError
from plugin_pool import ResourcePool
from plugin_pool.keeping import keeper

keeper._PAUSES = (0.02,)
path, durability = sys.argv[1:]
ballast = os.path.join(os.path.dirname(path), "ballast")
pool = ResourcePool.open(path, durability=durability)
for name in "abcd":
    pool.add_resource({"id": name, "type": "t"})
pool.allocate_resources("before", {"type": "t"})

def shrink():
    if os.path.ismount(os.path.dirname(path)):
        with open(ballast, "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (69_000, resource.RLIM_INFINITY))

def grow():
    if os.path.ismount(os.path.dirname(path)):
        os.unlink(ballast)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def fill():
    request = pool.prepare({"type": "t"})
    while not pool.persistence.degraded:
        for _ in range(200):
            pool.allocate_resources("filler", request)
            pool.release_resources("filler")

def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, pool.persistence
        time.sleep(0.01)
"""

BUFFERED = """
shrink()
fill()
assert pool.persistence.degraded in ("file too large", "no space left on device"), pool.persistence
assert pool.allocate_resources("meanwhile", {"type": "t"})  # which is only in memory
pool.release_resources("before")
time.sleep(0.3)  # some attempts in vain
assert pool.persistence.degraded
grow()
until(lambda: not pool.persistence.degraded)
pool.allocate_resources("after", {"type": "t"})
os._exit(0)
"""

FSYNC = """
import asyncio
shrink()
try:
    fill()
except ResourceUnavailableError as error:
    assert "cannot be written to its disk" in error.problem, error
    assert "Make room" in error.remedy
else:
    raise AssertionError
assert pool.get_allocation("filler") is None
report = pool.get_status_report()
assert (report.available, report.deployed, report.error) == (3, 1, 0), report

def refused(call):
    try:
        call()
    except ResourceUnavailableError:
        return True

assert refused(lambda: pool.acquire("thread", {"type": "t"}))
assert refused(lambda: asyncio.run(pool.acquire_async("loop", {"type": "t"})))
assert refused(lambda: pool.extend("before", {"type": "t"}))
assert pool.get_allocation("before").allocated_resources == ("a",)
assert pool.get_status_report() == report
grow()
until(lambda: not pool.persistence.degraded)
assert pool.release_resources("before")
assert pool.allocate_resources("meanwhile", {"type": "t"})
assert pool.acquire("after", {"type": "t"})
os._exit(0)
"""


@pytest.fixture(params=["limit", "disk"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory in which a process can run out of room: by a limit on its files, or by a small disk."""
    if request.param == "limit":
        yield tmp_path / "pool"
        return
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr}")
    try:
        yield tmp_path / "pool"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def run(script: str, place: Path, durability: str) -> str:
    code = textwrap.dedent(SMALL + script)
    ended = subprocess.run(
        [sys.executable, "-c", code, str(place), durability], capture_output=True, text=True, check=False, timeout=100
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_the_pool_goes_on_and_is_kept_again(place: Path) -> None:
    said = run(BUFFERED, place, "buffered")
    assert said.count("pool_state_degraded") == 1
    with ResourcePool.open(place, grace=None) as again:
        assert again.persistence.notes == ()
        assert sorted(again._stock.leases) == ["after", "meanwhile"]
        assert again.get_status_report().available == 2


def test_nobody_is_promised_what_is_not_on_the_disk(place: Path) -> None:
    said = run(FSYNC, place, "fsync")
    assert said.count("pool_state_degraded") == 1
    with ResourcePool.open(place, grace=None) as again:
        assert sorted(again._stock.leases) == ["after", "meanwhile"]


def test_what_was_written_before_is_there_when_it_dies_meanwhile(place: Path) -> None:
    run("shrink()\nfill()\npool.release_resources('before')\nos._exit(0)", place, "buffered")
    (place.parent / "ballast").unlink(missing_ok=True)
    with ResourcePool.open(place, grace=None) as again:
        assert "before" in again._stock.leases
        assert again.get_status_report().total_resources == 4


def test_closing_in_vain_says_so(place: Path) -> None:
    script = """
        shrink()
        fill()
        try:
            pool.close()
        except ResourceUnavailableError as error:
            assert "could not be written when it was closed" in error.problem
            os._exit(0)
        """
    run(textwrap.dedent(script), place, "buffered")


def test_opening_in_vain_says_so(place: Path) -> None:
    script = """
        pool.close()
        if os.path.ismount(os.path.dirname(path)):
            shrink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        try:
            ResourcePool.open(path)
        except ResourceUnavailableError as error:
            assert "cannot be" in error.problem, error
            grow()
            assert ResourcePool.open(path).get_status_report().total_resources == 4
            os._exit(0)
        """
    run(textwrap.dedent(script), place, "buffered")


def gapped(path: Path) -> KeptPool:
    """Return a pool that holds something which is in no journal."""
    pool = ResourcePool.open(path)
    pool.add_resource({"id": "d", "type": "t"})
    with pool._lock:
        pool._keeper._closing.set()  # so that no thread tries before the test does
        pool._keeper._degrade("no room")
    pool.allocate_resources("task", {"type": "t"})
    return pool


def dead(pool: KeptPool) -> None:
    pool._expiry.close()
    pool._keeper.let_go()


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool]) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if fails(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_disk_that_fails_once_a_snapshot_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal that belongs to the snapshot must stay, else there is a snapshot without one."""
    pool = gapped(tmp_path)
    with monkeypatch.context() as patched:
        failing(patched, lambda one: stat.S_ISDIR(os.fstat(one).st_mode) and (tmp_path / "snapshot-00000002").exists())
        with pytest.raises(OSError, match="No space left"):
            pool._keeper.renew()
    dead(pool)
    with ResourcePool.open(tmp_path, grace=None) as again:
        assert again.get_resource("d").tasks == ("task",)


def test_a_death_while_the_disk_was_full_several_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given up leaves a number out; a journal whose snapshot was never finished may come behind that."""
    pool = gapped(tmp_path)
    with monkeypatch.context() as patched:
        failing(patched, lambda one: stat.S_ISREG(os.fstat(one).st_mode))
        with pytest.raises(OSError, match="No space left"):
            pool._keeper.renew()
    pool._keeper._next()  # and dies before the snapshot is written
    assert sorted(one.name for one in tmp_path.glob("journal-*")) == ["journal-00000001", "journal-00000003"]
    dead(pool)
    with ResourcePool.open(tmp_path, grace=None) as again:
        assert again.get_resource("d").tasks == ()
        assert "its snapshot was never finished" in again.persistence.notes[0]


def test_a_gap_that_comes_while_a_journal_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That journal would go on behind a gap of which it does not know, and it would never be kept again."""
    pool = ResourcePool.open(tmp_path)
    pool.add_resource({"id": "d", "type": "t"})
    pool._keeper._closing.set()

    def late(descriptor: int) -> bool:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and not pool._keeper.degraded:
            with pool._lock:
                pool._keeper._degrade("no room")
        return False

    with monkeypatch.context() as patched:
        failing(patched, late)
        pool._keeper.renew()
    assert pool.persistence.degraded == ""
    head = (tmp_path / "journal-00000002").read_bytes().partition(b"\n")[0]
    assert head.endswith(b",true]")
    dead(pool)


def test_a_thread_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ResourcePool.open(tmp_path)
    with monkeypatch.context() as patched:

        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patched.setattr(threading.Thread, "start", start)
        pool._keeper._start()
    pool._keeper._start()
    assert (thread := pool._keeper._thread) is None or thread.ident is not None
    pool.close()
    ResourcePool.open(tmp_path).close()
