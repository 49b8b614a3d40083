"""However a program ends, what it holds is given back: by itself, by its last moments, or by whoever comes next."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.records import Reclamation
from framework.recovery import held, reclaim

Start = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("keeper")

HEAD = """
import asyncio, ctypes, multiprocessing, os, signal, sys, time
from framework import Framework

def say(*words):
    print(*words, flush=True)

async def wait():
    await asyncio.Event().wait()

def run(main, **settings):
    async def inside():
        async with Framework.from_config("framework.yaml", flags=FLAGS) as host:
            await main(host)
    asyncio.run(inside())

FLAGS = ["leases.reclaim=false"]
libc = ctypes.CDLL(None)
"""

ENDINGS = [(signal.SIGTERM, -15), (signal.SIGHUP, -1)]


def left(home: Path) -> list[str]:
    return sorted(one.name for one in home.iterdir() if one.name.startswith(("file-", "tree-")))


@pytest.fixture
def leases(home: Path) -> str:
    """The directory of journals of the programs."""
    return str(home / ".local" / "state" / "framework" / "leases")


@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_a_signal_first_gives_everything_back_and_then_does_what_it_always_does(
    application: Start, home: Path, leases: str, number: int, code: int
) -> None:
    one = application(
        HEAD
        + """
async def main(host):
    held = [await host.acquire(f"keeper.{kind}", name=kind) for kind in ("file", "tree", "child")]
    say("ready")
    await wait()

run(main)
"""
    )
    one.says("ready")
    assert len(left(home)) == 2

    os.kill(one.pid, number)

    assert [one.says("closed ") for _ in range(3)] == ["child", "tree", "file"]
    assert one.ends() == code
    assert (left(home), os.listdir(leases)) == ([], [])


@pytest.mark.parametrize(("number", "code"), ENDINGS)
def test_a_blocked_event_loop_ends_all_the_same_and_leaves_nothing(
    application: Start, home: Path, leases: str, number: int, code: int
) -> None:
    one = application(
        HEAD
        + """
FLAGS.append("timeouts.drain=0.2")

async def main(host):
    held = await host.acquire("keeper.file", name="frames"), await host.acquire("keeper.child", name="worker")
    say("ready")
    while True:
        time.sleep(600)

run(main)
"""
    )
    one.says("ready")

    assert one.kill(number) == code
    assert (left(home), os.listdir(leases)) == ([], [])


def test_what_does_not_end_in_time_is_undone_without_it(application: Start, home: Path, leases: str) -> None:
    (home / "wait").touch()
    one = application(
        HEAD
        + """
FLAGS.append("timeouts.drain=0.2")

async def main(host):
    held = await host.acquire("keeper.file", name="frames")
    say("ready")
    await wait()

run(main)
"""
    )
    one.says("ready")

    assert one.kill(signal.SIGTERM) == -signal.SIGTERM
    assert (left(home), os.listdir(leases)) == ([], [])


def test_a_second_signal_ends_it_at_once_and_what_it_left_is_given_back_by_the_next(
    application: Start, home: Path, leases: str
) -> None:
    (home / "wait").touch()
    one = application(
        HEAD
        + """
FLAGS.append("timeouts.drain=600")

async def main(host):
    held = await host.acquire("keeper.file", name="frames")
    say("ready")
    await wait()

run(main)
"""
    )
    one.says("ready")
    os.kill(one.pid, signal.SIGTERM)
    one.says("closing frames")

    assert one.kill(signal.SIGTERM) == -signal.SIGTERM
    assert len(left(home)) == 1
    assert [done.outcome for done in reclaim(leases)] == ["reclaimed"]
    assert (left(home), os.listdir(leases)) == ([], [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_that_the_program_handles_itself_is_left_to_it(application: Start, home: Path, when: str) -> None:
    one = application(
        HEAD
        + f"""
ended = asyncio.Event()

def handle():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

async def main():
    if {when == "before"}:
        handle()
    async with Framework.from_config("framework.yaml") as host:
        if {when == "after"}:
            handle()
        held = await host.acquire("keeper.file", name="frames")
        say("ready")
        await ended.wait()
        say("mine", held.is_allocated())
    await asyncio.sleep(0)
    say("handled still", signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)

asyncio.run(main())
"""
    )
    one.says("ready")
    os.kill(one.pid, signal.SIGTERM)

    assert one.says("mine") == "True"
    one.says("closed frames")
    assert one.says("handled still") == "True"
    assert (one.ends(), left(home)) == (0, [])


def test_a_program_may_do_without_and_then_dies_at_once(application: Start, home: Path, leases: str) -> None:
    one = application(
        HEAD
        + """
FLAGS.append("leases.signals=false")

async def main(host):
    held = await host.acquire("keeper.file", name="frames")
    say("ready")
    await wait()

run(main)
"""
    )
    one.says("ready")

    assert one.kill(signal.SIGTERM) == -signal.SIGTERM
    assert [(one.state, one.name) for one in held(leases)] == [("dead", "frames")]
    assert [done.outcome for done in reclaim(leases)] == ["reclaimed"]


ALONE = (
    HEAD
    + """
sys.path.insert(0, os.environ["PYTHONPATH"])
from plugin_keeper import KeeperProvider

async def keep(*kinds):
    provider = KeeperProvider()
    await provider.initialize()
    return [await provider.create(f"keeper.{kind}", name=kind) for kind in kinds]
"""
)


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "raise SystemExit", "threading.Thread(target=say).start()"])
def test_the_end_of_the_interpreter_gives_back_what_is_left(
    application: Start, home: Path, leases: str, ending: str
) -> None:
    one = application(f"{ALONE}\nimport threading\nheld = asyncio.run(keep('file', 'tree', 'child'))\n{ending}\n")

    assert one.ends() == 0
    assert (left(home), os.listdir(leases)) == ([], [])


def test_an_uncaught_error_and_an_interrupt_leave_nothing_either(application: Start, home: Path, leases: str) -> None:
    code = """
async def main(host):
    held = [await host.acquire("keeper.file", name="frames")]
    say("ready")
    await wait()

run(main)
"""
    one = application(f"{HEAD}\nsys.excepthook = lambda *_: say('failed')\n{code}")
    one.says("ready")
    one.kill(signal.SIGINT)
    assert (left(home), os.listdir(leases)) == ([], [])
    one = application(f"{HEAD}\nsys.excepthook = lambda *_: say('failed')\n{code.replace('await wait()', '1 / 0')}")
    one.says("failed")
    assert one.ends() == 1
    assert (left(home), os.listdir(leases)) == ([], [])


CHILDREN = {
    "that exits": "pid = os.fork()\n    if not pid: sys.exit(0)\n    os.waitpid(pid, 0)",
    "that fails": "pid = os.fork()\n    if not pid: sys.stderr.close(); 1 / 0\n    os.waitpid(pid, 0)",
    "that is told to end": (
        "pid = os.fork()\n    if not pid: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    say('ended by', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    ),
    "of multiprocessing": (
        "child = multiprocessing.get_context('fork').Process(target=lambda: None)\n    child.start()\n    child.join()"
    ),
    "that gives back": (
        "pid = os.fork()\n    if not pid:\n"
        "        for one in held:\n            asyncio.new_event_loop().run_until_complete(one.release())\n"
        "        sys.exit(0)\n    os.waitpid(pid, 0)"
    ),
    "that forgets": "pid = os.fork()\n    if not pid: del held[:]; sys.exit(0)\n    os.waitpid(pid, 0)",
    "behind Python's back": "pid = libc.fork()\n    if not pid: sys.exit(0)\n    os.waitpid(pid, 0)",
    "behind Python's back that is told to end": (
        "pid = libc.fork()\n    if not pid: os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)\n"
        "    say('ended by', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    ),
}


@pytest.mark.parametrize("what", CHILDREN)
def test_a_forked_child_never_removes_what_its_parent_holds(
    application: Start, home: Path, leases: str, what: str
) -> None:
    code = f"""
held = asyncio.run(keep("file", "tree"))

def fork():
    {CHILDREN[what]}

fork()
say("forked", [one.is_allocated() for one in held])
sys.stdin.read()
"""
    one = application(ALONE + code.replace("sys.stdin.read()", "signal.pause()"))

    assert one.says("forked") == "[True, True]"
    assert len(left(home)) == 2
    assert {(record.state, record.name) for record in held(leases)} == {("live", "file"), ("live", "tree")}
    assert reclaim(leases) == []
    one.kill()
    assert {done.outcome for done in reclaim(leases)} == {"reclaimed"}
    assert (left(home), os.listdir(leases)) == ([], [])


def test_a_child_that_was_forked_from_an_open_host_leaves_it_alone(application: Start, home: Path, leases: str) -> None:
    one = application(
        HEAD
        + """
async def main(host):
    held = await host.acquire("keeper.file", name="frames")
    pid = os.fork()
    if not pid:
        say("child", os.getpid())
        signal.pause()
    await wait()

run(main)
"""
    )
    child = int(one.says("child"))
    os.kill(child, signal.SIGTERM)
    while Path(f"/proc/{child}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z":
        os.sched_yield()

    assert len(left(home)) == 1
    os.kill(one.pid, signal.SIGTERM)
    one.says("closed frames")
    assert (one.ends(), left(home), os.listdir(leases)) == (-signal.SIGTERM, [], [])


def test_what_a_forked_child_acquires_itself_is_its_own(application: Start, home: Path, leases: str) -> None:
    one = application(
        ALONE
        + """
held = asyncio.run(keep("file"))
pid = os.fork()
mine = asyncio.run(keep("tree")) if not pid else []
if not pid:
    say("child", os.getpid())
signal.pause()
"""
    )
    child = int(one.says("child"))
    assert {(record.pid, record.name, record.state) for record in held(leases)} == {
        (one.pid, "file", "live"),
        (child, "tree", "live"),
    }

    os.kill(child, signal.SIGKILL)
    outcomes: list[Reclamation] = []
    while not outcomes:
        outcomes = reclaim(leases)

    assert [(done.pid, done.name, done.outcome) for done in outcomes] == [(child, "tree", "reclaimed")]
    assert [name[:4] for name in left(home)] == ["file"]


def test_a_child_that_holds_on_to_the_lock_of_the_dead_keeps_nothing_from_being_given_back(
    application: Start, home: Path, leases: str
) -> None:
    one = application(
        ALONE
        + """
held = asyncio.run(keep("file", "tree"))
pid = libc.fork()
if not pid:
    libc.pause()
say("child", pid)
signal.pause()
"""
    )
    child = int(one.says("child"))
    one.kill()
    try:
        assert {(record.state, record.name) for record in held(leases)} == {("dead", "file"), ("dead", "tree")}
        assert {done.outcome for done in reclaim(leases)} == {"reclaimed"}
        assert (left(home), os.listdir(leases)) == ([], [])
        os.kill(child, 0)  # it is still there, with the lock
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_owner_that_is_stopped_is_never_taken_for_dead(application: Start, home: Path, leases: str) -> None:
    one = application(
        HEAD
        + """
async def main(host):
    held = await host.acquire("keeper.file", name="frames"), await host.acquire("keeper.child", name="worker")
    say("ready")
    await wait()

run(main)
"""
    )
    one.says("ready")
    os.kill(one.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, one.pid, os.WSTOPPED)

    for retry in (False, True):
        assert reclaim(leases, retry=retry) == []
    assert {record.state for record in held(leases)} == {"live"}
    assert len(left(home)) == 1

    os.kill(one.pid, signal.SIGCONT)
    os.kill(one.pid, signal.SIGTERM)
    assert sorted(one.says("closed ") for _ in range(2)) == ["frames", "worker"]
    assert (one.ends(), left(home)) == (-signal.SIGTERM, [])


def test_a_lease_ends_when_its_time_is_over_unless_it_is_renewed(application: Start, home: Path) -> None:
    one = application(
        HEAD
        + """
async def main(host):
    over = await host.acquire("keeper.file", name="over", ttl=0.3)
    kept = await host.acquire("keeper.file", name="kept", ttl=0.3)
    for_ever = await host.acquire("keeper.file", name="for ever", ttl=0.3)
    kept.renew(600)
    for_ever.renew(None)
    endless = await host.acquire("keeper.file", name="endless")
    while over.is_allocated():
        await asyncio.sleep(0.01)
    say("kept", kept.is_allocated(), for_ever.is_allocated(), endless.is_allocated())
    kept.renew(0.01)
    while kept.is_allocated():
        await asyncio.sleep(0.01)
    endless.renew(0.01)
    while endless.is_allocated():
        await asyncio.sleep(0.01)
    say("expired", host.statistics().expired)
    await wait()

run(main)
"""
    )

    assert one.says("closed ") == "over"
    assert one.says("kept") == "True True True"
    assert one.says("closed ") == "kept"
    assert one.says("closed ") == "endless"
    assert one.says("expired") == "3"
    assert len(left(home)) == 1


def test_what_is_over_does_not_wait_for_what_takes_long_to_give_back(application: Start, home: Path) -> None:
    (home / "wait").touch()
    one = application(
        HEAD
        + """
async def main(host):
    slow = await host.acquire("keeper.file", name="slow", ttl=0.01)
    other = await host.acquire("keeper.file", name="other", ttl=0.02)
    say("ready")
    await wait()

run(main)
"""
    )
    assert [one.says("closing "), one.says("closing ")] == ["slow", "other"]
    (home / "wait").unlink()
    assert sorted(one.says("closed ") for _ in range(2)) == ["other", "slow"]


def test_a_program_that_is_replaced_by_another_has_given_up_what_it_held(
    application: Start, home: Path, leases: str
) -> None:
    one = application(
        ALONE
        + """
held = asyncio.run(keep("file"))
os.execv("/bin/sh", ["sh", "-c", "echo replaced; exec sleep 600"])
"""
    )
    one.says("replaced")

    assert [done.outcome for done in reclaim(leases)] == ["reclaimed"]
    assert (left(home), os.listdir(leases)) == ([], [])
    assert subprocess.run(["kill", "-0", str(one.pid)], check=False).returncode == 0
