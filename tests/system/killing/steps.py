"""Kills a process at each of its system calls in turn, before and after it, until it gets through.

    unshare --pid --fork --mount-proc --mount python -m tests.system.killing.steps ROOT acquire|reclaim EACH

`acquire` kills who acquires and releases one of each kind, `reclaim` who gives back what such a process had left. What
is then left is given back by one pass, and must be nothing. Only every so-manieth step is tried, from EACH. Prints what
was done as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

from tests.system.killing import kinds

from framework import recovery

CALLS = {"posix", "fcntl"}


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do something in a child that is killed at its so-manieth step; false if it got through before."""
    child = os.fork()
    if child == 0:
        count = 0

        def at(_frame: FrameType, event: str, function: object) -> None:
            nonlocal count
            if event in {"c_call", "c_return", "c_exception"} and getattr(function, "__module__", "") in CALLS:
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(at)
            work()
            sys.setprofile(None)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status in {0, signal.SIGKILL}, status
    return status != 0


def lend_each(places: kinds.Places, *, release: bool = True) -> None:
    """Acquire and release one of each kind."""

    async def lend() -> None:
        provider = kinds.Kinds(places)
        await provider.initialize()
        for kind in kinds.kinds_of(places):
            resource = await provider.create(kind, name="one")
            if release:
                await resource.release()
            else:
                kept.append(resource)

    asyncio.run(lend())


kept: list[object] = []


def settle(places: kinds.Places, outcomes: Counter[str]) -> None:
    """Have one pass give back all there is, and hold that nothing is left."""
    outcomes.update(one.outcome for one in recovery.reclaim(places.journals))
    left = kinds.remains(places)
    assert not any(left.values()), left


def acquire(places: kinds.Places, each: int) -> Counter[str]:
    """Kill who acquires and releases, at each step."""
    outcomes: Counter[str] = Counter()
    while killed_at(1 + each * outcomes["kills"], lambda: lend_each(places)):
        outcomes["kills"] += 1
        settle(places, outcomes)
    settle(places, outcomes)
    return outcomes


def reclaim(places: kinds.Places, each: int) -> Counter[str]:
    """Kill who reclaims, at each step."""
    outcomes: Counter[str] = Counter()
    while True:
        child = os.fork()
        if child == 0:
            lend_each(places, release=False)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        if not killed_at(1 + each * outcomes["kills"], lambda: void(recovery.reclaim(places.journals))):
            settle(places, outcomes)
            return outcomes
        outcomes["kills"] += 1
        settle(places, outcomes)


def void(_: object) -> None:
    """Forget a result."""


def main() -> None:
    """Run one of the two."""
    places = kinds.enter(sys.argv[1])
    os.makedirs(places.journals, 0o700)
    try:
        outcomes = {"acquire": acquire, "reclaim": reclaim}[sys.argv[2]](places, int(sys.argv[3]))
    finally:
        kinds.leave(places)
    print(json.dumps({**outcomes, "kinds": len(kinds.kinds_of(places))}))


if __name__ == "__main__":
    main()
