"""Limits that are really in force, and what happens to what exceeds them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from framework.errors import InvalidRequestError, ResourceLimitError, ResourceUnavailableError
from plugin_process import Limit, LocalProcess, ProcessProvider, ProcessSettings
from plugin_process.hierarchies import places

pytestmark = pytest.mark.anyio

MIB = 1 << 20
CONTROLLERS = places(["memory", "cpu", "pids"])
BOMB = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
while True:
    try:
        if not os.fork():
            os.setsid()
    except OSError:
        pass
"""
"""Each of its processes leads a session of its own, and ignores what asks it to end."""

EATER = "import sys; x = bytearray(200 << 20); sys.exit(7)"

grouped = pytest.mark.skipif(len(CONTROLLERS) < 3, reason="no control groups for memory, cpu and pids can be made here")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


async def run(provider: ProcessProvider, script: str, **parameters: Any) -> LocalProcess:
    child = await provider.create("process.local", command=script, shell=True, **parameters)
    assert isinstance(child, LocalProcess)
    return child


async def said(child: LocalProcess) -> list[str]:
    output = await child.output()
    assert output.stderr == b""
    return output.stdout.decode().splitlines()


def running(text: str) -> list[int]:
    """Return the processes that have a text among their arguments; those that have ended have no arguments any more."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if text in one.cmdline():
                found.append(one.pid)
    return found


@grouped
@as_root
async def test_every_limit_is_in_force_before_the_first_instruction(provider: ProcessProvider) -> None:
    child = await run(
        provider,
        "grep -c framework- /proc/self/cgroup; ulimit -n; nice; ionice",
        max_memory=64 * MIB,
        max_cpu=0.5,
        pids=20,
        files=32,
        nice=3,
        io_priority="best-effort:7",
        strict=True,
    )

    inside, files, nice, priority = await said(child)
    assert int(inside) >= 3
    assert (files, nice, priority) == ("32", "3", "best-effort: prio 7")
    mechanism = {name: f"cgroup{2 if place.unified else 1}" for name, place in CONTROLLERS.items()}
    assert child.limits == {
        "max_memory": Limit(mechanism["memory"], 64 * MIB),
        "max_cpu": Limit(mechanism["cpu"], 0.5),
        "pids": Limit(mechanism["pids"], 20),
        "files": Limit("rlimit", 32),
        "nice": Limit("nice", 3),
        "io_priority": Limit("ioprio", "best-effort:7"),
    }


@grouped
async def test_out_of_memory_is_told_apart_from_a_kill(provider: ProcessProvider) -> None:
    eater = await provider.create_local_process("p", sys.executable, size=64 * MIB, args=["-c", EATER])
    killed = await run(provider, "kill -KILL $$", size=64 * MIB)
    wrapped = await run(provider, f"{sys.executable} -c '{EATER}'; exit 5", size=64 * MIB)

    assert (await eater.wait(), eater.cause) == (-signal.SIGKILL, "out of memory (limit 64 MiB)")
    assert (await killed.wait(), killed.cause) == (-signal.SIGKILL, "killed by SIGKILL")
    assert await wrapped.wait() == 5
    assert wrapped.cause == "out of memory (limit 64 MiB)"
    assert provider.out_of_memory == 2
    assert eater.resource_use is not None
    assert 32 * MIB < eater.resource_use.max_memory <= 64 * MIB


@grouped
async def test_a_fork_bomb_stays_within_its_limit_and_is_gone_afterwards(impatient: ProcessProvider) -> None:
    child = await impatient.create_local_process("p", sys.executable, args=["-c", BOMB], pids=30, max_cpu=0.5)
    assert await anext(child.lines()) == b"1\n"
    while len(running(BOMB)) < 30:
        await asyncio.sleep(0)
    assert len(running(BOMB)) == 30

    await child.release()

    assert child.returncode == -signal.SIGKILL
    assert running(BOMB) == []


@grouped
async def test_children_in_sessions_of_their_own_are_stopped_where_there_is_a_group(provider: ProcessProvider) -> None:
    child = await run(provider, "setsid sh -c 'sleep 1000 & echo $! $$; exec sleep 1000' & sleep 1000", pids=20)
    escaped = [int(one) for one in (await anext(child.lines())).split()]
    assert all(os.getsid(one) != child.pid for one in escaped)

    await child.release()

    assert not any(psutil.pid_exists(one) and psutil.Process(one).status() != "zombie" for one in escaped)


async def test_limits_that_leave_no_room_to_start_are_named(
    provider: ProcessProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits until they are in force ends before; how soon limits do that depends on how busy the machine is."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ResourceLimitError, match=r"became '/bin/sh', .* leave no room: files=3, nice=1\."):
        await run(provider, ":", files=3, nice=1)


@grouped
async def test_a_forked_process_that_cleans_up_ends_nothing_of_its_parents(provider: ProcessProvider) -> None:
    child = await run(provider, "sleep 1000 & echo $!; wait", pids=20)
    inner = psutil.Process(int(await anext(child.lines())))
    if (forked := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            asyncio.events._set_running_loop(None)
            asyncio.run(provider.cleanup())
        os._exit(0)
    os.waitpid(forked, 0)

    assert child.returncode is None
    assert inner.status() != psutil.STATUS_ZOMBIE
    await child.release()
    assert not inner.is_running() or inner.status() == "zombie"


@grouped
async def test_what_a_child_put_into_groups_of_its_own_goes_with_it(impatient: ProcessProvider) -> None:
    """As a program does that uses this plugin itself, and is killed before it can release anything."""
    child = await impatient.create(
        "process.local", command=sys.executable, args=["-c", NESTING], pids=50, max_memory=512 * MIB
    )
    assert isinstance(child, LocalProcess)
    inner = int(await anext(child.lines()))
    child.send_signal(signal.SIGKILL)
    await child.wait()

    await child.release()

    assert not psutil.pid_exists(inner) or psutil.Process(inner).status() == "zombie"


NESTING = """
import asyncio
from plugin_process import ProcessProvider
async def main():
    provider = ProcessProvider()
    await provider.initialize()
    child = await provider.create("process.local", command="sleep", args=["1000"], pids=5, max_memory=1 << 28)
    assert {one.mechanism[:6] for one in child.limits.values()} == {"cgroup"}
    print(child.pid, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


@grouped
async def test_a_limit_on_tasks_is_an_error_in_the_child(provider: ProcessProvider) -> None:
    script = """
import os, signal
try:
    [os.fork() or signal.pause() for _ in range(9)]
except OSError as error:
    print(error, flush=True)
"""
    child = await provider.create_local_process("p", sys.executable, args=["-c", script], pids=5)

    assert await anext(child.lines()) == b"[Errno 11] Resource temporarily unavailable\n"


@grouped
async def test_a_group_without_room_for_one_more_is_a_limit(provider: ProcessProvider, tmp_path: Path) -> None:
    """An owner that may only have one process: itself."""
    script = """
import asyncio
from plugin_process import ProcessProvider

async def main():
    provider = ProcessProvider()
    await provider.initialize()
    for more in ({}, {"nice": 1}):
        try:
            await provider.create_local_process("p", "true", **more)
        except Exception as error:
            print(type(error).__name__, error.problem)
    assert provider.ledger.records() == ()
    await provider.cleanup()

asyncio.run(main())
"""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    owner = await provider.create_local_process("p", sys.executable, args=["-c", script], env=env, pids=1)

    lines = (await owner.output()).stdout.decode().splitlines()
    assert lines == ["ResourceLimitError process.local 'p' cannot run 'true': Resource temporarily unavailable."] * 2


async def test_running_out_of_descriptors_is_an_error_in_the_child(provider: ProcessProvider) -> None:
    script = "import os\ntry:\n    [os.dup(0) for _ in range(40)]\nexcept OSError as error:\n    print(error)"
    child = await provider.create_local_process("p", sys.executable, args=["-c", script], files=32)

    assert (await child.output()).stdout == b"[Errno 24] Too many open files\n"


async def test_what_cannot_be_had_is_refused_when_strict_and_else_done_without(
    provider: ProcessProvider, footprint: Callable[[], object]
) -> None:
    await (await run(provider, ":", files=1 << 29)).release()
    before = footprint()

    with pytest.raises(ResourceUnavailableError, match=r"cannot have files=536870912 enforced: .+\."):
        await run(provider, ":", files=1 << 29, strict=True)
    assert footprint() == before
    assert provider.ledger.records() == ()

    child = await run(provider, "echo ran", files=1 << 29)
    assert await said(child) == ["ran"]
    assert child.limits["files"].mechanism == "none"
    assert child.limits["files"].reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_memory": -1},
        {"max_memory": 8192, "size": 4096},
        {"max_cpu": 0.0},
        {"max_cpu": float("nan")},
        {"pids": 0},
        {"files": 2},
        {"nice": 20},
        {"io_priority": "idle:3"},
        {"io_priority": "best-effort:8"},
        {"io_priority": "best-effort:"},
        {"io_priority": "none"},
    ],
)
async def test_a_limit_out_of_range_is_refused(provider: ProcessProvider, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="allowed: "):
        await provider.create("process.local", command="true", **wrong)
    assert provider.ledger.records() == ()


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        ("no-such-command", ResourceUnavailableError, "it was not found on PATH"),
        ("/etc/passwd", ResourceUnavailableError, "it is not executable"),
    ],
)
async def test_what_cannot_be_run_is_refused_behind_the_gate_too(
    provider: ProcessProvider, footprint: Callable[[], object], command: str, error: type[Exception], message: str
) -> None:
    await (await run(provider, ":", nice=1)).release()
    before = footprint()

    with pytest.raises(error, match=message):
        await provider.create("process.local", command=command, nice=1, pids=5)

    assert footprint() == before
    assert provider.ledger.records() == ()


async def test_arguments_and_variables_pass_the_gate_unchanged(provider: ProcessProvider) -> None:
    odd = {"a.b-c": "\udcff\n", "PATH": "/bin:/usr/bin", "LC_ALL": "C"}
    plain = await provider.create_local_process("p", "env", args=["-0"], env=odd)
    gated = await provider.create_local_process("q", "env", args=["-0"], env=odd, nice=1)
    echoed = await provider.create_local_process("r", "printf", args=["%s|", "", " ", "\udcff", "é\n"], nice=1)

    variables = [set((await one.output()).stdout.split(b"\0")) for one in (plain, gated)]
    assert {one for one in variables[0] ^ variables[1] if not one.startswith(b"FRAMEWORK_LEASE=")} == set()
    assert (await echoed.output()).stdout == b"| |\xff|\xc3\xa9\n|"


async def test_the_gate_leaves_neither_descriptors_nor_ignored_signals(provider: ProcessProvider) -> None:
    script = "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status"
    plain, gated = await run(provider, script), await run(provider, script, nice=1)

    assert await said(plain) == await said(gated)


async def test_cancelling_at_the_gate_leaves_nothing(
    provider: ProcessProvider, footprint: Callable[[], object]
) -> None:
    await (await run(provider, ":", nice=1, pids=5)).release()
    before = footprint()
    for turns in range(6):
        task = asyncio.create_task(run(provider, "sleep 1000", nice=1, pids=5, max_memory=64 * MIB))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).release()
        assert provider.ledger.records() == ()
        assert footprint() == before


@as_root
async def test_without_control_groups_the_limits_of_processes_are_used(tmp_path: Any) -> None:
    """In a mount namespace without control groups, and as a user whose tasks the system counts."""
    script = (
        "import asyncio\n"
        "from plugin_process import ProcessProvider\n"
        "async def main():\n"
        "    provider = ProcessProvider()\n"
        "    await provider.initialize()\n"
        "    child = await provider.create('process.local', command='sh', args=['-c', 'ulimit -v; ulimit -p; nproc'],\n"
        "        max_memory=256 << 20, max_cpu=1.0, pids=8, user='nobody')\n"
        "    print((await child.output()).stdout.decode().split())\n"
        "    print([one.mechanism for one in child.limits.values()], child.limits['pids'].value)\n"
        "    half = await provider.create('process.local', command='true', max_cpu=0.5)\n"
        "    print(half.limits['max_cpu'].mechanism)\n"
        "    await provider.cleanup()\n"
        "asyncio.run(main())\n"
    )
    command = 'mount -t tmpfs none /sys/fs/cgroup && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, sys.executable, script],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    memory, tasks, processors = done.stdout.splitlines()[0].strip("[]").replace("'", "").split(", ")
    assert (memory, processors) == (str(256 << 10), "1")
    assert done.stdout.splitlines()[1] == f"['rlimit', 'affinity', 'rlimit'] {tasks}"
    assert int(tasks) >= 8
    assert done.stdout.splitlines()[2] == "none"


@grouped
@as_root
async def test_a_stopped_child_and_one_that_ignores_are_gone_within_the_grace_period(
    impatient: ProcessProvider,
) -> None:
    child = await run(impatient, "trap '' TERM; echo 1; sleep 1000; sleep 1000", max_memory=64 * MIB)
    assert await anext(child.lines()) == b"1\n"
    child.send_signal(signal.SIGSTOP)

    await child.release()

    assert child.returncode == -signal.SIGKILL


async def test_a_group_of_version_two_is_killed_at_once(groups: Callable[[], list[str]]) -> None:
    if "" not in places([""]) or "pids" not in CONTROLLERS:
        pytest.skip("needs control groups of version 2 that can be made")
    provider = ProcessProvider(ProcessSettings(stop_grace=0))
    await provider.initialize()
    child = await run(provider, "trap '' TERM; for i in 1 2 3 4; do setsid sleep 1000 & done; echo 1; wait", pids=20)
    assert await anext(child.lines()) == b"1\n"
    (group,) = [one for one in groups() if os.path.dirname(one) == places([""])[""].parent]
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        members = [int(line) for line in file]
    assert len(members) == 5
    with open(f"{group}/cgroup.freeze", "w", encoding="ascii") as file:
        file.write("1")  # what is frozen obeys nothing but a kill

    await child.release()

    assert [one for one in members if psutil.pid_exists(one) and psutil.Process(one).status() != "zombie"] == []
    await provider.cleanup()
