"""What a child process does, and what is left of it: nothing."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import (
    InvalidRequestError,
    ResourceLimitError,
    ResourceUnavailableError,
)
from plugin_process import LocalProcess, ProcessProvider, ProcessSettings

pytestmark = pytest.mark.anyio

Footprint = Callable[[], tuple[set[tuple[str, str]], set[int]]]


def alive(number: int) -> bool:
    """Return whether a process runs; one that ended but was not reaped yet by who inherited it does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def shell(provider: ProcessProvider, script: str, name: str = "") -> LocalProcess:
    given_name = {"name": name} if name else {}
    started = await provider.create("process.local", command="sh", args=["-c", script], **given_name)
    assert isinstance(started, LocalProcess)
    return started


async def numbers(process: LocalProcess, count: int) -> list[int]:
    """Return the numbers that the child prints in its first lines; it is then known to have come that far."""
    found: list[int] = []
    async for line in process.lines():
        found.append(int(line))
        if len(found) == count:
            break
    return found


async def test_a_command_runs_and_its_output_and_code_are_known(
    provider: ProcessProvider, footprint: Footprint
) -> None:
    before = footprint()
    process = await provider.create_local_process(name="greeting", command="echo", size=0, args=["hello"])
    assert process.is_allocated()

    output = await process.output()

    assert (output.stdout, output.stderr, output.truncated) == (b"hello\n", b"", False)
    assert process.returncode == 0
    assert await process.wait() == 0
    await process.release()
    await process.release()
    assert not process.is_allocated()
    assert (await process.output()).stdout == b"hello\n"
    assert footprint() == before


async def test_a_shell_reads_nothing_of_the_arguments(provider: ProcessProvider) -> None:
    process = await provider.create_local_process("p", "echo", args=["$HOME; exit 3", "*"])

    assert (await process.output()).stdout == b"$HOME; exit 3 *\n"


async def test_the_status_tells_how_it_ended(provider: ProcessProvider) -> None:
    good = await shell(provider, "exit 0")
    bad = await shell(provider, "echo oops >&2; exit 3")

    assert (await good.wait(), good.status.value) == (0, "available")
    assert (await bad.wait(), bad.status.value) == (3, "error")
    assert (await bad.output()).stderr == b"oops\n"


async def test_a_running_child_is_busy(provider: ProcessProvider) -> None:
    process = await shell(provider, "echo 1; exec sleep 100")
    await numbers(process, 1)

    assert process.status.value == "busy"
    assert process.returncode is None
    assert provider.running() == (1, 0)
    with pytest.raises(ResourceUnavailableError, match=r"pid \d+\) still runs after 0\.01 s"):
        await process.wait(0.01)
    with pytest.raises(ResourceUnavailableError, match="still runs"):
        await process.output(timeout=0.01)


async def test_stdin_of_any_size_is_read_to_its_end(provider: ProcessProvider) -> None:
    data = os.urandom(1 << 20)
    process = await provider.create_local_process("p", "cat", stdin=data)

    assert (await process.output()).stdout == data


async def test_environment_and_directory_are_those_asked_for(provider: ProcessProvider, tmp_path: Path) -> None:
    process = await provider.create_local_process(
        "p", "/bin/sh", args=["-c", "pwd; echo $ONE; env | wc -l"], env={"ONE": "eins"}, working_directory=str(tmp_path)
    )

    lines = (await process.output()).stdout.split(b"\n")
    assert lines[:2] == [os.fsencode(tmp_path), b"eins"]
    assert int(lines[2]) <= 5  # ONE, the mark of the lease, and what the shell sets by itself


async def test_release_ends_a_child_that_obeys_with_sigterm(provider: ProcessProvider) -> None:
    process = await shell(provider, "echo 1; exec sleep 100")
    await numbers(process, 1)

    await process.release()

    assert process.returncode == -signal.SIGTERM


async def test_release_kills_a_child_that_ignores_sigterm_after_the_grace_period(
    impatient: ProcessProvider, footprint: Footprint
) -> None:
    before = footprint()
    process = await shell(impatient, "trap '' TERM; echo 1; while :; do sleep 100; done")
    await numbers(process, 1)
    began = asyncio.get_running_loop().time()

    await process.release()

    assert process.returncode == -signal.SIGKILL
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert footprint() == before


async def test_a_stopped_child_can_be_released_gently(provider: ProcessProvider) -> None:
    process = await shell(provider, "echo 1; exec sleep 100")
    await numbers(process, 1)
    process.send_signal(signal.SIGSTOP)

    await process.release()

    assert process.returncode == -signal.SIGTERM


async def test_release_stops_grandchildren_too(impatient: ProcessProvider) -> None:
    own_group = "import os, time; os.setpgid(0, 0); print(os.getpid(), flush=True); time.sleep(100)"
    # one in the group that obeys, one that ignores, and one in a group of its own, as job control makes them
    script = 'sleep 100 & echo $!; (trap \'\' TERM; sleep 100) & echo $!; "$0" -c "$1" & wait'
    process = await impatient.create_local_process("p", "sh", args=["-c", script, sys.executable, own_group])
    found = await numbers(process, 3)
    assert os.getpgid(found[0]) == process.pid
    assert os.getpgid(found[2]) != process.pid

    await process.release()

    assert [alive(one) for one in [process.pid, *found]] == [False] * 4


async def test_grandchildren_get_the_grace_period_after_their_parent_ended(
    provider: ProcessProvider, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    # not a shell: what a shell with a trap has just forked may lose a signal before it has put the trap aside
    script = (
        "import pathlib, signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.05)\n"
        f"    pathlib.Path({str(saved)!r}).write_text('done')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print(1, flush=True)\n"
        "signal.pause()\n"
    )
    process = await provider.create_local_process("p", "sh", args=["-c", '"$0" -c "$1" & wait', sys.executable, script])
    await numbers(process, 1)

    await process.release()

    assert saved.read_text() == "done"


async def test_what_a_command_leaves_running_is_stopped_with_its_lease(
    provider: ProcessProvider, footprint: Footprint
) -> None:
    before = footprint()
    process = await shell(provider, "sleep 100 & echo $!; exit 0")
    assert await process.wait() == 0
    (left,) = await numbers(process, 1)
    assert alive(left)
    assert (await process.output()).stdout == b"%d\n" % left  # does not wait for the pipe that the sleep holds open

    await process.release()

    assert not alive(left)
    assert footprint() == before


async def test_terminate_asks_the_whole_session(provider: ProcessProvider) -> None:
    process = await shell(provider, "sleep 100 & echo $!; wait; exit 0")
    (grandchild,) = await numbers(process, 1)

    process.terminate()

    assert await process.wait() == -signal.SIGTERM
    assert process.status.value == "error"
    process.terminate()
    process.send_signal(signal.SIGTERM)
    await process.release()
    assert not alive(grandchild)
    process.terminate()
    process.send_signal(signal.SIGTERM)


async def test_a_signal_reaches_the_child_alone(provider: ProcessProvider) -> None:
    process = await shell(provider, "trap 'exit 7' USR1; sleep 100 & echo $!; wait")
    (grandchild,) = await numbers(process, 1)

    process.send_signal(signal.SIGUSR1)

    assert await process.wait() == 7
    assert alive(grandchild)
    await process.release()
    assert not alive(grandchild)


@pytest.mark.parametrize("number", [-1, 4711, 1 << 40])
async def test_a_signal_that_there_is_not_is_refused(provider: ProcessProvider, number: int) -> None:
    process = await shell(provider, "exec sleep 100")

    with pytest.raises(InvalidRequestError, match="which there is not"):
        process.send_signal(number)


async def test_a_child_that_somebody_else_reaped_can_still_be_released(
    provider: ProcessProvider, footprint: Footprint
) -> None:
    before = footprint()
    process = await shell(provider, "exit 3")
    os.waitpid(process.pid, 0)

    assert await process.wait() == 255
    await process.release()

    assert footprint() == before


async def test_a_stranger_that_got_the_number_of_a_lost_child_is_left_alone(provider: ProcessProvider) -> None:
    process = await shell(provider, "exit 3")
    os.waitpid(process.pid, 0)
    await process.wait()
    stranger = with_number(process.pid)
    try:
        assert os.getsid(stranger.pid) == process.pid  # it leads a session of its own, as the child did

        process.terminate()
        process.send_signal(signal.SIGKILL)
        await process.release()

        # whoever was sent a deadly signal would not answer
        assert stranger.communicate(b"alive")[0] == b"alive"
    finally:
        stranger.kill()
        stranger.wait()


def with_number(number: int) -> subprocess.Popen[bytes]:
    """Return a process that has a number which was free; others may take it first, so it is tried again."""
    for _ in range(50):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
        except OSError as error:
            pytest.skip(f"needs the right to choose the number of the next process ({error})")
        started = subprocess.Popen("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        if started.pid == number:
            return started
        started.communicate()
    pytest.skip(f"the number {number} could not be had again in 50 tries")


async def test_release_during_wait_wakes_it_with_the_code(provider: ProcessProvider) -> None:
    process = await shell(provider, "echo 1; exec sleep 100")
    await numbers(process, 1)
    waiting = [asyncio.create_task(process.wait()) for _ in range(3)]
    reading = asyncio.create_task(process.output())
    await anyio.wait_all_tasks_blocked()

    await asyncio.gather(process.release(), process.release())

    assert await asyncio.gather(*waiting) == [-signal.SIGTERM] * 3
    assert (await reading).stdout == b"1\n"


async def test_cancelling_whoever_holds_it_leaves_nothing(impatient: ProcessProvider, footprint: Footprint) -> None:
    before = footprint()
    started = asyncio.Event()

    async def hold() -> None:
        async with await shell(impatient, "trap '' TERM; echo 1; sleep 100; sleep 100") as process:
            await numbers(process, 1)
            started.set()
            await process.wait()

    task = asyncio.create_task(hold())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert footprint() == before


async def test_cancelling_while_acquiring_starts_nothing(provider: ProcessProvider, footprint: Footprint) -> None:
    before = footprint()
    task = asyncio.create_task(provider.create_local_process("p", "sleep", args=["100"]))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert footprint() == before
    assert provider.ledger.statistics().held == 0


async def test_fifty_at_once_leave_nothing(provider: ProcessProvider, footprint: Footprint) -> None:
    before = footprint()

    async def run(number: int) -> bytes:
        async with await shell(
            provider, f"(echo {number}; echo {number} >&2) | cat; (exit {number}) & wait"
        ) as process:
            output = await process.output()
            return output.stdout + output.stderr

    outputs = await asyncio.gather(*(run(number) for number in range(50)))

    assert outputs == [b"%d\n%d\n" % (number, number) for number in range(50)]
    assert footprint() == before


async def test_cleanup_stops_all_within_one_grace_period(footprint: Footprint) -> None:
    before = footprint()
    provider = ProcessProvider(ProcessSettings(stop_grace=0.5))
    await provider.initialize()
    held = [await shell(provider, "trap '' TERM; echo $$; sleep 100; sleep 100") for _ in range(8)]
    found = [(await numbers(process, 1))[0] for process in held]
    began = asyncio.get_running_loop().time()

    await provider.cleanup()

    assert asyncio.get_running_loop().time() - began < 4 * 0.5  # one after the other would take 8
    assert not any(alive(one) for one in found)
    assert footprint() == before
    assert provider.ledger.statistics().held == 0


async def test_no_more_children_are_held_than_allowed() -> None:
    provider = ProcessProvider(ProcessSettings(max_processes=1))
    await provider.initialize()
    first = await provider.create_local_process("p", "true")

    with pytest.raises(ResourceLimitError, match=r"of the 1 that plugins\.process\.max_processes allows"):
        await provider.create_local_process("q", "true")
    await first.release()
    await (await provider.create_local_process("q", "true")).release()
    await provider.cleanup()


async def test_a_child_is_marked_with_its_lease_after_that_of_its_parent(
    provider: ProcessProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEWORK_LEASE", "outer")
    inherited = await shell(provider, "echo $FRAMEWORK_LEASE")
    chosen = await provider.create_local_process("p", "echo $FRAMEWORK_LEASE", shell=True, env={"FRAMEWORK_LEASE": "x"})

    for child in (inherited, chosen):
        outer, token = (await child.output()).stdout.decode().strip().split(":")
        assert outer == "outer"
        assert len(token) == 28
        assert token.endswith(f"{child.lease.id:012x}")


async def test_what_a_child_used_is_known_after_its_end(provider: ProcessProvider) -> None:
    script = "x = bytearray(300 << 20); n = 0\nfor i in range(300_000): n += i"
    child = await provider.create_local_process("p", sys.executable, args=["-c", script])
    left = await shell(provider, "sleep 100 & exit 0")
    assert child.resource_use is None

    await child.wait()
    await left.wait()
    use = child.resource_use
    assert use is not None
    assert use.user_seconds + use.system_seconds > 0.01
    assert use.max_memory > 300 << 20
    assert use.voluntary_switches + use.involuntary_switches > 0
    assert left.resource_use is None
    await left.release()
    assert left.resource_use is not None


async def test_a_child_that_nobody_refers_to_is_stopped(provider: ProcessProvider) -> None:
    child = await shell(provider, "echo 1; exec sleep 100")
    await numbers(child, 1)
    number = child.pid
    del child

    while provider.ledger.records():
        await asyncio.sleep(0)
    assert not alive(number)


@pytest.mark.parametrize(
    ("count", "parameters"),
    [
        (100, {}),
        (20, {"nice": 1}),
        pytest.param(1000, {}, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
async def test_many_children_leave_no_zombie(
    provider: ProcessProvider, footprint: Footprint, count: int, parameters: dict[str, Any]
) -> None:
    before, others = footprint(), psutil.Process().children()  # other tests' helpers, as that of multiprocessing
    for _ in range(count):
        child = await provider.create_local_process("p", "true", **parameters)
        assert await child.wait() == 0
        assert set(psutil.Process().children()) <= set(others)
        await child.release()

    assert footprint() == before


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="subprocess itself leaks pipes there, see gh-87474")
async def test_running_out_of_descriptors_leaves_nothing_at_any_point(
    provider: ProcessProvider, footprint: Footprint
) -> None:
    before = footprint()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest free number
    os.close(free)
    refused = []
    for spare in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + spare, hard))
        try:
            process = await provider.create_local_process("p", "cat", stdin=b"x")
            await process.release()
        except ResourceLimitError as error:
            refused.append(error.problem)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert footprint() == before
    assert 0 < len(refused) < 12
    assert all("Too many open files" in problem for problem in refused)


async def test_a_release_without_a_descriptor_to_look_with_can_be_repeated(impatient: ProcessProvider) -> None:
    # they ignore SIGTERM, because those that end free the descriptors of their pipes
    held = [await shell(impatient, "trap '' TERM; sleep 100 & echo $!; exec sleep 100") for _ in range(2)]
    grandchildren = [(await numbers(process, 1))[0] for process in held]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(ExceptionGroup) as caught:
            await impatient.cleanup()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all("Too many open files" in str(error) for error in caught.value.exceptions)
    assert held[1].lease.allocation.value == "quarantined"  # the newest is released first

    await impatient.cleanup()

    assert not any(alive(one) for one in [*grandchildren, *(process.pid for process in held)])
    assert impatient.ledger.records() == ()


def test_it_works_on_an_event_loop_outside_the_main_thread() -> None:
    codes: list[int | None] = []

    async def main() -> None:
        provider = ProcessProvider()
        await provider.initialize()
        process = await shell(provider, "echo 1; exec sleep 100")
        await numbers(process, 1)
        await provider.cleanup()
        codes.append(process.returncode)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()

    assert codes == [-signal.SIGTERM]


STEPS = st.lists(st.sampled_from(["stop", "continue", "terminate", "kill", "wait", "cancel", "release"]), max_size=6)


@given(steps=STEPS, obeys=st.booleans())
@settings(max_examples=25, deadline=None)
def test_whatever_is_done_to_a_child_it_is_gone_in_the_end(steps: list[str], obeys: bool) -> None:
    before = {child.pid for child in psutil.Process().children()}

    asyncio.run(_live(steps, obeys=obeys))

    assert {child.pid for child in psutil.Process().children()} == before


async def _live(steps: list[str], *, obeys: bool) -> None:
    provider = ProcessProvider(ProcessSettings(stop_grace=0.02))
    await provider.initialize()
    trap = "" if obeys else "trap '' TERM; "
    process = await shell(provider, f"{trap}sleep 100 & echo $!; wait")
    (grandchild,) = await numbers(process, 1)
    for step in steps:
        await _do(process, step)
    await process.release()
    assert process.returncode in {-signal.SIGTERM, -signal.SIGKILL}
    assert provider.running() == (0, 0)
    assert not alive(grandchild)
    await provider.cleanup()


async def _do(process: LocalProcess, step: str) -> None:
    if step == "terminate":
        process.terminate()
    elif step == "release":
        await process.release()
    elif step == "cancel":
        task = asyncio.create_task(process.release())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    elif step == "wait":
        with contextlib.suppress(ResourceUnavailableError):
            await process.wait(0.001)
    else:
        process.send_signal({"stop": signal.SIGSTOP, "continue": signal.SIGCONT, "kill": signal.SIGKILL}[step])
