"""What the suites kill and fork with, and what they look for, works as it says."""

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework import recovery
from framework.testing import DummyProvider, Traces, forked, killed_at_call, killed_at_step, traces
from framework.testing.forks import end_as_programs_do
from framework.testing.outside import SEGMENTS, groups, of_strangers, segments
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
    path = f"{SEGMENTS}/kit-{os.getpid()}"
    yield path
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def test_a_segment_that_is_left_is_seen(segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PATIENCE_S", 0.05)
    before = Traces.now()
    os.close(os.open(segment, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    assert before.left() == {"segments": [segment]}
    assert segment in segments()


@pytest.mark.anyio
async def test_what_a_stranger_has_in_its_hands_is_not_ours(segment: str) -> None:
    before = Traces.now()
    ready, heard = os.pipe()
    command = f"(exec 3>{segment}; echo; exec sleep 60) &"  # which loses its parent at once
    subprocess.run(["sh", "-c", command], stdout=heard, check=True)
    os.close(heard)
    with os.fdopen(ready, "rb") as stream:
        stream.readline()
    try:
        assert of_strangers({segment}) == {segment}
        assert "segments" not in before.added()
    finally:
        _kill_holders(segment)


def _kill_holders(path: str) -> None:
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.readlink(f"/proc/{name}/fd/3") == path:
                os.kill(int(name), signal.SIGKILL)


def test_a_control_group_that_is_left_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PATIENCE_S", 0.05)
    before = Traces.now()
    path = _new_group()
    try:
        assert path in before.left()["groups"]  # beside those of tests that run meanwhile
        assert path in groups()
    finally:
        os.rmdir(path)
    assert path not in before.left().get("groups", [])


def _new_group() -> str:
    from framework.testing.outside import _own_groups

    for own in _own_groups():
        path = os.path.join(own, f"kit-{os.getpid()}")
        with contextlib.suppress(OSError):
            os.mkdir(path)
            return path
    pytest.skip("no control group can be made here")


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
