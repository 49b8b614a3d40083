"""Named segments of a process that is killed at each step; run in a mount namespace with a /dev/shm of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from plugin_memory import MemoryProvider, shm

Script = Callable[..., dict[str, Any]]

CHILD = """
import signal
from framework.recovery import reclaim
from framework.testing.crashes import killed_at_step

async def life(persistent):
    provider = MemoryProvider()
    await provider.initialize()
    memory = await provider.create_shared_memory("mine", 4096, persistent)
    await memory.release()

def killed(step, persistent):
    if (child := os.fork()) == 0:
        with killed_at_step(step, "link", "unlink"):
            asyncio.run(life(persistent))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def test_killed_at_any_step_nothing_is_left_and_nothing_else_is_touched(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        CHILD
        + """
with open("/dev/shm/framework.stranger", "wb") as stranger:
    stranger.write(b"mine")
points, left, between = 0, [], []
for nameless in (True, False):
    if not nameless:
        from plugin_memory import shm
        shm.os.O_TMPFILE = os.O_DIRECTORY | os.O_RDWR  # refused as a directory: hidden names take the place
    step = 0
    while killed(step, False):
        between.extend(one for one in segments() if one != "framework.stranger")
        reclaim()
        left.extend(one for one in segments() if one != "framework.stranger")
        step += 1
    points += step
report(points=points, left=left, between=sorted(set(one[:11] for one in between)),
       stranger=open("/dev/shm/framework.stranger", "rb").read().decode())
"""
    )
    assert found["points"] >= 12
    assert found["left"] == []
    assert "framework.m" in found["between"]  # some of the kills did leave something for the journal
    assert found["stranger"] == "mine"


def test_a_persistent_segment_is_complete_or_was_never_there(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        CHILD
        + """
seen = []
for step in (0, 1):
    assert killed(step, True)  # before and after the link, the only call: nothing is written to the journal
    reclaim()
    seen.append({name: os.stat("/dev/shm/" + name).st_size for name in segments()})
report(seen=seen)
"""
    )
    assert found["seen"] == [{}, {"framework.mine": 4096}]


def test_what_took_the_place_of_a_killed_process_segment_is_left_alone(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        CHILD
        + """
assert killed(5, False)  # after the link, before which the journal was made and written to
os.unlink("/dev/shm/framework.mine")
with open("/dev/shm/framework.mine", "wb") as stranger:
    stranger.write(b"x" * 4096)
outcomes = [one.outcome for one in reclaim()]
report(left=segments(), outcomes=outcomes)
"""
    )
    assert found["left"] == ["framework.mine"]
    assert "reclaimed" not in found["outcomes"]


@pytest.mark.anyio
async def test_the_journal_names_the_segment_before_it_is_there_and_not_after(
    provider: MemoryProvider, unique: str, journalled: Callable[[], list[str]]
) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    device, inode = memory._identity
    assert journalled() == [f"unlink {memory.path} inode:{device}:{inode}"]
    assert memory.path == f"/dev/shm/{shm.segment_name(unique)}"
    await memory.release()
    assert journalled() == []


@pytest.mark.anyio
async def test_a_name_that_is_taken_leaves_nothing_in_the_journal(
    provider: MemoryProvider, unique: str, journalled: Callable[[], list[str]]
) -> None:
    path = f"/dev/shm/{shm.segment_name(unique)}"
    with open(path, "wb") as stranger:
        stranger.write(b"mine")
    with pytest.raises(Exception, match="file exists"):
        await provider.create_shared_memory(unique, 10)
    assert journalled() == []
    os.unlink(path)
