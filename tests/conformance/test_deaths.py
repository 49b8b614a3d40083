"""What the suites kill and fork with, and what they look for, works as it says."""

import asyncio
import contextlib
import functools
import importlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework import recovery
from framework.testing import DummyProvider, Traces, forked, killed_at_call, killed_at_step, traces
from framework.testing.crashes import die
from framework.testing.forks import end_as_programs_do
from framework.testing.outside import SEGMENTS
from framework.testing.scene import Scene, journals
from framework.testing.surroundings import private_folders


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def apart(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Journals and temporary files of this test's own."""
    yield from private_folders(request, monkeypatch)


@pytest.mark.anyio
async def test_what_a_child_returns_is_told() -> None:
    async def add() -> int:
        await asyncio.sleep(0)
        return 1 + 1

    ending = await forked(add)

    assert (ending.code, ending.said, ending.killed) == (0, "2", False)


@pytest.mark.anyio
async def test_what_a_child_raises_is_told() -> None:
    async def fail() -> None:
        raise ValueError("no")

    ending = await forked(fail)

    assert ending.code == 1
    assert "ValueError: no" in ending.said


@pytest.mark.anyio
async def test_the_loop_goes_on_while_a_child_lives() -> None:
    reading, writing = os.pipe()

    async def wait() -> bytes:
        return os.read(reading, 1)

    async def wake() -> None:
        os.write(writing, b"x")

    ending, _ = await asyncio.gather(forked(wait), wake())
    os.close(reading)
    os.close(writing)

    assert ending.said == "b'x'"


@pytest.mark.anyio
async def test_a_child_that_ends_as_programs_do_runs_what_is_registered(tmp_path: Path) -> None:
    import atexit

    async def register() -> None:
        atexit.register((tmp_path / "ended").touch)

    ending = await forked(register, end=end_as_programs_do)

    assert (ending.code, (tmp_path / "ended").exists()) == (0, True)


@pytest.mark.anyio
@pytest.mark.parametrize("killer", [killed_at_step, killed_at_call])
async def test_each_step_is_reached_once(killer: Callable[[int], contextlib.AbstractContextManager[object]]) -> None:
    seen: list[list[int]] = []

    async def live(number: int) -> None:
        provider = DummyProvider([])
        await provider.initialize()
        with killer(number):
            async with await provider.create("dummy.file"):
                pass

    killed = True
    while killed:
        killed = (await forked(functools.partial(live, len(seen)))).killed
        seen.append([len(content.entries) for _, content in journals()])
        recovery.reclaim()

    assert [] in seen
    assert [1] in seen  # it was killed with something intended


@pytest.mark.anyio
async def test_nobody_dies_but_the_process_that_was_meant() -> None:
    async def live() -> str:
        with killed_at_step(0) as step:
            pid = os.fork()
            if pid == 0:
                step()
                os._exit(7)
            return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    assert (await forked(live)).said == "7"


@pytest.fixture
def segment() -> Iterator[str]:
    path = f"{SEGMENTS}/kit-{os.urandom(8).hex()}"
    yield path
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def test_a_segment_that_is_left_is_seen(segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PATIENCE_S", 0.05)
    before = Traces.now()
    os.close(os.open(segment, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    assert segment in before.left()["segments"]


@pytest.mark.anyio
async def test_a_segment_that_a_c_module_of_a_killed_child_made_is_seen(segment: str) -> None:
    shm_open = importlib.import_module("_posixshmem").shm_open
    before = Traces.now()

    async def make() -> None:
        descriptor = shm_open(f"/{os.path.basename(segment)}", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        assert descriptor
        die()

    await forked(make)

    assert segment in before.added()["segments"]


def test_a_segment_of_a_stranger_is_not_ours(segment: str) -> None:
    before = Traces.now()

    subprocess.run(["sh", "-c", f"echo > {segment}"], check=True)

    assert segment not in before.added().get("segments", ())


def test_a_control_group_that_is_left_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PATIENCE_S", 0.05)
    before = Traces.now()
    path = _new_group()
    try:
        assert before.left()["groups"] == [path]
    finally:
        os.rmdir(path)
    assert "groups" not in before.left()


def _new_group() -> str:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split()[4] for line in file if " - cgroup" in line]
    for mount in mounts:
        path = os.path.join(mount, f"kit-{os.urandom(8).hex()}")
        with contextlib.suppress(OSError):
            os.mkdir(path)
            return path
    pytest.skip("no control group can be made here")


@pytest.mark.anyio
async def test_a_control_group_of_a_killed_child_is_seen() -> None:
    before = Traces.now()

    async def die() -> None:
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
        os.mkdir(os.path.basename(path), dir_fd=directory)
        os.kill(os.getpid(), signal.SIGKILL)

    path = _new_group()
    os.rmdir(path)
    await forked(die)
    try:
        assert before.added()["groups"] == [path]
    finally:
        os.rmdir(path)


@pytest.mark.anyio
async def test_an_orphan_of_a_killed_child_is_seen_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PATIENCE_S", 0.05)

    async def leave() -> None:
        subprocess.Popen(["sleep", "60"])
        os.kill(os.getpid(), signal.SIGKILL)

    with Scene("") as scene:
        await forked(leave)
        (pid,) = map(int, (await scene.left())["children"])

    assert not os.path.exists(f"/proc/{pid}")
