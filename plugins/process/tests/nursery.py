"""Kills owners of children at chosen steps, and prints what is left that no journal leads to. Needs a pid namespace.

    python nursery.py STRIDE GROUP '{"parameters": "of the request"}'

GROUP is the name of a control group that is made for it, so that it knows which groups are its own.

Each owner is a fork that acquires and releases one child, and is killed at its N-th step: a step is the beginning or
the end of a call of a function written in C, which all system calls are. Prints one JSON object.
"""

import asyncio
import contextlib
import glob
import itertools
import json
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

import anyio

from framework.journal import directory_path, read
from plugin_process import ProcessProvider, ProcessSettings
from plugin_process.hierarchies import places, write

MARK = b"FRAMEWORK_LEASE="
CONTROLLERS = ["memory", "cpu", "pids", ""]


def own(number: int, parameters: dict[str, Any]) -> int:
    """Acquire and release; die at a step. Returns the number of steps if that is less."""
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        if event in {"c_call", "c_return"}:
            steps += 1
            if steps == number:
                os.kill(os.getpid(), signal.SIGKILL)

    async def main() -> None:
        provider = ProcessProvider(ProcessSettings(stop_grace=0.05))
        await provider.initialize()
        await provider.create("process.local", command="true")  # what is only made once is made
        await provider.cleanup()
        await provider.initialize()
        sys.setprofile(count)
        child = await provider.create("process.local", **parameters)
        await child.release()
        sys.setprofile(None)
        await provider.cleanup()

    asyncio.run(main())
    return steps


def marks() -> dict[int, set[str]]:
    """Return the marks of all other processes."""
    found: dict[int, set[str]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in {1, os.getpid()}:
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    variables = file.read().split(b"\0")
                with open(f"/proc/{entry}/stat", "rb") as file:
                    zombie = file.read().rpartition(b")")[2].split()[0] == b"Z"
            except OSError:
                continue
            if not zombie:
                tokens = [one.removeprefix(MARK).decode() for one in variables if one.startswith(MARK)]
                found[int(entry)] = set(":".join(tokens).split(":")) - {""}
    return found


def intended() -> tuple[set[str], set[str]]:
    """Return the tokens and directories in all journals, which are removed."""
    tokens, directories = set(), set()
    for path in glob.glob(os.path.join(directory_path(), "*.journal")):
        descriptor = os.open(path, os.O_RDONLY)
        for entry in read(descriptor).entries.values():
            tokens |= {one.path for one in entry.targets if one.verb.value == "kill"}
            directories |= {one.path for one in entry.targets if one.verb.value == "rmdir"}
        os.close(descriptor)
        os.unlink(path)
    return tokens, directories


def clear(tokens: set[str], directories: set[str]) -> tuple[list[int], list[str], int]:
    """Undo what a journal says, and return the processes and groups that it does not lead to, and how much it did."""
    undone = 0
    deadline = time.monotonic() + 10
    while (lost := marks()) and time.monotonic() < deadline:
        # one that was forked a moment ago shows its own variables only once it has executed its program
        ours = [number for number, found in lost.items() if found & tokens]
        undone += len(ours)
        for number in ours:
            os.kill(number, signal.SIGKILL)
        os.sched_yield()
    for directory in directories:
        while os.path.isdir(directory):
            try:
                os.rmdir(directory)
                undone += 1
            except OSError:
                os.sched_yield()
    for number in lost:
        os.kill(number, signal.SIGKILL)
    return list(lost), groups(), undone


def groups() -> list[str]:
    """Return the control groups that were made within this process' own."""
    return [one for place in places(CONTROLLERS).values() for one in glob.glob(f"{place.parent}/framework-*")]


def reap() -> None:
    """Ask for the exit codes of orphans, as the first process must: until then everybody sees them in /proc."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def settle(name: str) -> None:
    """Move into a control group of this process' own."""
    for place in set(places(CONTROLLERS).values()):
        os.mkdir(os.path.join(place.parent, name))
        write(os.path.join(place.parent, name, "cgroup.procs"), str(os.getpid()))


def main() -> None:
    """Run owners."""
    stride, parameters = int(sys.argv[1]), json.loads(sys.argv[3])
    settle(sys.argv[2])
    anyio.run(anyio.sleep, 0)  # imports what each owner would import again
    report: dict[str, Any] = {"killed": 0, "undone": 0, "lost": []}
    for number in itertools.count(1, stride):
        child = os.fork()
        if not child:
            own(number, parameters)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        processes, directories, undone = clear(*intended())
        reap()
        report["undone"] += undone
        if processes or directories:
            report["lost"].append([number, processes, directories])
        if os.WIFEXITED(status):
            report["code"] = os.WEXITSTATUS(status)
            break
        report["killed"] += 1
    print(json.dumps(report))


if __name__ == "__main__":
    main()
