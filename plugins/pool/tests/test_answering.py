"""What other processes are told of the pools of programs that run: real programs, and the command as people type it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_pool.hosting.listener import LONGEST, SUFFIX, reachable

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]

PROGRAM = """
import asyncio, glob, os, sys
from framework import Framework

async def main():
    async with Framework() as fw:
        pool = await fw.service("pool")
        pool.add_resource({"id": "gpu-1", "type": "gpu"})
        async with fw.acquire("pool.entity", task="train", requirements={"type": "gpu"}):
            later = asyncio.create_task(pool.acquire_async("later", {"type": "gpu"}))
            await asyncio.sleep(0)
            if "fork" in sys.argv:
                while not glob.glob(os.environ["XDG_STATE_HOME"] + "/framework/pool/[0-9]*"):
                    await asyncio.sleep(0.01)
                if not os.fork():
                    os.read(0, 1)
                    os._exit(0)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)
            later.cancel()

asyncio.run(main())
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a program with a pool in which one task holds the only entity and another waits for it."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, state: str = "state") -> subprocess.Popen[str]:
        quiet = {"FRAMEWORK__PLUGINS__POOL__ANSWER": "false"} if "quiet" in arguments else {}
        home = {"XDG_STATE_HOME": str(tmp_path / state), **quiet}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        one = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], env={**os.environ, **home}, **pipes)
        started.append(one)
        assert one.stdout is not None
        while one.stdout.readline() != "ready\n":
            assert one.poll() is None
        while "quiet" not in arguments and not sockets(tmp_path / state, one.pid):
            assert one.poll() is None
            time.sleep(0.01)
        return one

    yield begin
    for one in started:
        one.kill()
        one.communicate()


def sockets(state: Path, pid: int | str = "") -> list[Path]:
    return list((state / "framework" / "pool").glob(f"{pid}*.sock"))


def rows(framework: Run, *arguments: str, **variables: str) -> list[dict[str, Any]]:
    done = framework("why", *arguments, "-o", "json", **variables)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_what_waits_and_what_is_held_is_told_of_every_program(framework: Run, start: Start) -> None:
    one, other = start("one"), start("other")
    found = rows(framework)
    assert sorted((row["process"], row["program"], row["task"], row["state"]) for row in found) == sorted(
        (program.pid, f"-c {name}", task, state)
        for program, name in ((one, "one"), (other, "other"))
        for task, state in (("train", "allocated"), ("later", "waiting"))
    )
    waiting = next(row for row in found if row["state"] == "waiting")
    assert "gpu-1 is held by 'train'" in waiting["why"]
    assert [row["process"] for row in rows(framework, "--pid", str(one.pid))] == [one.pid] * 2
    table = framework("why")
    assert "holds gpu-1" in table.stdout
    assert "Programs with a pool that run now: 2. Tasks that wait: 2." in table.stderr


def test_a_task_of_another_program_is_explained(framework: Run, start: Start) -> None:
    one = start()
    done = framework("why", "later", "-o", "json")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert (found["task"], found["tier"], found["position"]) == ("later", "busy", 1)
    assert (found["process"], found["blockers"][0]["task"]) == (one.pid, "train")
    held = framework("why", "train")
    assert held.returncode == 0
    assert f"it holds gpu-1. (in process {one.pid}, -c)" in held.stderr
    assert framework("why", "gpu").returncode == 4  # the pool of the configuration has none
    need = framework("why", "gpu", "--pid", str(one.pid))
    assert need.returncode == 3
    assert need.stdout.splitlines()[1].split() == ["1", "gpu", "type", "gpu", "1"]


def test_a_task_that_two_programs_have_must_be_told_apart(framework: Run, start: Start) -> None:
    numbers = sorted([start().pid, start().pid])
    done = framework("why", "later")
    assert done.returncode == 2
    assert all(str(one) in done.stderr for one in numbers)
    assert framework("why", "later", "--pid", str(numbers[0])).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pid", "999999"], "The process 999999 has no pool that answers."),
        (["gpu", "--pid", "1", "--state", "kept"], "no --pid"),
        (["--state", "kept"], "give a NEED or a TASK"),
        (["gpu", "--pid", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_asked_is_refused(framework: Run, arguments: list[str], said: str) -> None:
    done = framework("why", *arguments)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_of_a_program_that_was_killed_nothing_is_left_after_the_next_question(
    framework: Run, start: Start, tmp_path: Path
) -> None:
    one = start()
    one.kill()
    one.wait()
    assert sockets(tmp_path / "state")
    assert rows(framework) == []
    assert not sockets(tmp_path / "state")


def test_what_a_program_left_that_was_killed_before_it_listened_is_removed(
    framework: Run, start: Start, tmp_path: Path
) -> None:
    one = start()
    folder = tmp_path / "state" / "framework" / "pool"
    for pid in (one.pid, 1 << 22):
        with socket.socket(socket.AF_UNIX) as early, reachable(str(folder / f".{pid}-1{SUFFIX}")) as short:
            early.bind(short)
    assert len(rows(framework)) == 2
    assert [path.name for path in folder.glob(".*")] == [f".{one.pid}-1{SUFFIX}"]


def test_a_socket_of_another_machine_is_left_alone(framework: Run, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "framework" / "pool"
    folder.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as other, reachable(str(folder / "1-1.elsewhere.sock")) as short:
        other.bind(short)
    assert rows(framework) == []
    assert [path.name for path in folder.iterdir()] == ["1-1.elsewhere.sock"]


def test_a_program_removes_its_socket_when_it_ends(start: Start, tmp_path: Path) -> None:
    one = start()
    assert one.communicate("")[0] == ""
    assert one.returncode == 0
    assert not sockets(tmp_path / "state")


def test_a_child_that_was_forked_does_not_answer_for_its_dead_parent(framework: Run, start: Start) -> None:
    one = start("fork")
    one.kill()
    one.wait()
    assert rows(framework) == []


def test_a_program_that_is_stopped_does_not_keep_the_others_from_answering(framework: Run, start: Start) -> None:
    stopped, other = start(), start()
    stopped.send_signal(signal.SIGSTOP)
    states = {(row["process"], row["state"]) for row in rows(framework)}
    assert states == {(stopped.pid, "unknown"), (other.pid, "allocated"), (other.pid, "waiting")}
    stopped.send_signal(signal.SIGCONT)


def test_a_program_that_is_to_answer_nobody_has_no_socket(framework: Run, start: Start, tmp_path: Path) -> None:
    start("quiet")
    assert rows(framework) == []
    assert not sockets(tmp_path / "state")


def test_a_long_path_of_the_directory_of_state_does_not_matter(framework: Run, start: Start, tmp_path: Path) -> None:
    long = "/".join(["x" * 60] * 5)
    start(state=long)
    assert len(rows(framework, XDG_STATE_HOME=str(tmp_path / long))) == 2


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (b"hello\n", "JSON object"),
        (b"[1]\n", "JSON object"),
        (b"\xff\n", "JSON object"),
        (b"[" * LONGEST, "JSON object"),
        (b'{"ask": "' + b"x" * 2 * LONGEST, "JSON object"),
        (b"{}\n", "not known here"),
        (b'{"ask": "explain"}\n', "requirement"),
        (b'{"ask": "explain", "of": "nobody"}\n', "holds nothing"),
        (b'{"ask": "explain", "of": {"type": "x", "capabilities": {"y": 99}}}\n', "1 to 10"),
        (b"", "JSON object"),
    ],
)
def test_whatever_is_asked_the_next_question_is_answered(
    framework: Run, start: Start, tmp_path: Path, question: bytes, said: str
) -> None:
    one = start()
    (path,) = sockets(tmp_path / "state", one.pid)
    with socket.socket(socket.AF_UNIX) as asking, socket.socket(socket.AF_UNIX) as silent:
        with reachable(str(path)) as short:
            silent.connect(short)
            asking.connect(short)
        try:
            asking.sendall(question)
            asking.shutdown(socket.SHUT_WR)
        except OSError:  # it has had enough
            pass
        assert select.select([asking], [], [], 60)[0]
        answer = b"".join(iter(lambda: asking.recv(1 << 16), b"")) if len(question) <= LONGEST else b""
    assert not answer or said in json.loads(answer)["error"]
    assert len(rows(framework)) == 2
