"""A process dies before each of its system calls in turn; what it was told is there afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = """
import functools, os, shutil, sys, traceback
from plugin_pool import ResourcePool
from plugin_pool.errors import StateError
from plugin_pool.keeping import journal, keeper

journal.FIRST, journal._MOST = 1, 1  # a page at a time
keeper._PAUSES = (0.0,)
NAMES = ("open", "mkdir", "rename", "link", "unlink", "ftruncate", "fsync", "fdatasync", "posix_fallocate", "pwrite")
root, scenario = sys.argv[1:]

def patch(kill):
    calls = 0
    def counted(name, real, *args, **parameters):
        nonlocal calls
        calls += 1
        if calls == kill:
            os._exit(77)
        return real(*args, **parameters)
    for name in NAMES:
        setattr(os, name, functools.partial(counted, name, getattr(os, name)))

def held(pool):
    return {name: one.epoch for name, one in pool._stock.leases.items()}

def live(path, say):
    pool = ResourcePool.open(path, grace=None)
    say(pool)
    pool.add_resources([{"id": f"e{n}", "type": "t"} for n in range(8)])
    say(pool)
    for round in range(3):
        for task in "abcd":
            if not pool.release_resources(task):
                pool.allocate_resources(task, {"type": "t"})
            say(pool)
        pool._keeper._start()
        if (thread := pool._keeper._thread) is not None:
            thread.join()
        for task in [*"efg"] * 20:
            if not pool.release_resources(task):
                pool.allocate_resources(task, {"type": "t"})
            say(pool)
    say(pool)
    pool.close()
    say(pool)

def round(kill):
    path = os.path.join(root, "pool")
    shutil.rmtree(path, ignore_errors=True)
    if scenario == "again":
        with ResourcePool.open(path) as pool:
            pool.add_resource({"id": "x", "type": "t"})
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        patch(kill)
        said = os.write
        try:
            live(path, lambda pool: said(writer, f"{held(pool)!r} {bool(pool.persistence.degraded)}\\n".encode()))
        except Exception as error:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        words = file.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 77), code
    try:
        with ResourcePool.open(path, grace=None) as pool:
            found = held(pool)
    except StateError as error:
        raise AssertionError(f"kill {kill}: {error}") from error
    if words and words[-1].endswith("False"):
        last = eval(words[-1].rpartition(" ")[0])
        assert len(set(found) ^ set(last)) <= 1, (kill, found, last)
        assert all(last[one] == found[one] for one in found if one in last)
    return code

def until_it_ends():
    kill = 1
    while round(kill) == 77:
        kill += 1
    return kill

print(until_it_ends())
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ["new", "again"])
def test_it_can_die_before_every_call_of_the_system(tmp_path: Path, scenario: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HARNESS, str(tmp_path), scenario], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert int(ended.stdout) > 50
