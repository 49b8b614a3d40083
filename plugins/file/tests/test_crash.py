"""What a process that is killed at each step of its journal leaves, before and after recovery."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import ResourceUnavailableError
from plugin_file import FileProvider

Script = Callable[..., dict[str, Any]]

LIVES = {
    "local": """
        file = await provider.create_local_file("a", where + "/a", 4096)
        await file.release()
    """,
    "temp": """
        file = await provider.create_temp_file("a", 4096, directory=where, suffix=".x")
        file.path
        await file.release()
    """,
    "keep": """
        file = await provider.create_temp_file("a", 3, directory=where)
        file.open().write(b"new")
        await file.keep_as(where + "/kept")
        await file.release()
    """,
    "replace": """
        file = await provider.create_local_file("a", where + "/kept", 3, replace=True)
        file.open().write(b"new")
        await file.commit()
        await file.release()
    """,
    "discarded": """
        file = await provider.create_local_file("a", where + "/kept", 3, replace=True)
        file.open().write(b"new")
        await file.release()
    """,
    "directory": """
        folder = await provider.create_directory("a", where + "/folder")
        os.makedirs(folder.path + "/inner/most")
        open(folder.path + "/inner/file", "w").close()
        await folder.release()
    """,
    "private": """
        folder = await provider.create_directory("a")
        open(folder.path + "/file", "w").close()
        await folder.release()
    """,
    "persistent": """
        await (await provider.create_local_file("a", where + "/stays", 3, persistent=True)).release()
        await (await provider.create_directory("b", where + "/remains", persistent=True)).release()
    """,
}
MAY_STAY = {"persistent": ["remains", "stays"]}


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "hidden"])
@pytest.mark.parametrize("life", LIVES)
def test_killed_at_any_step_nothing_is_left_and_nothing_else_is_touched(
    run: Script, tmp_path: Path, life: str, nameless: bool
) -> None:
    body = textwrap.indent(textwrap.dedent(LIVES[life]), "    ")
    found = run(
        f"""
from framework.recovery import reclaim
if not {nameless}:
    os.O_TMPFILE = os.O_DIRECTORY | os.O_RDWR  # refused as a directory: hidden names take the place
os.makedirs(where + "/framework-stranger/inside")
for name in ("kept", ".framework-stranger", "framework-0123456789abcdef000000000001"):
    with open(where + "/" + name, "w") as file:
        file.write("old")
theirs = everything()

async def life():
    provider = await ready(temp_directory=where)
{body}

step, between, contents, died = 0, [], set(), True
while died:
    died = killed(step, life)
    between += [name for name in everything() if name not in theirs]
    outcomes = [one.outcome for one in reclaim()]
    left = [name for name in everything() if name not in theirs]
    assert set(left) <= set({MAY_STAY.get(life, [])!r}), (step, left, outcomes)
    for name in reversed(left):
        os.rmdir(where + "/" + name) if os.path.isdir(where + "/" + name) else os.unlink(where + "/" + name)
    with open(where + "/kept") as file:
        contents.add(file.read())
    with open(where + "/kept", "w") as file:
        file.write("old")
    assert everything() == theirs
    step += died
report(steps=step, between=between, contents=sorted(contents))
""",
        tmp_path,
    )
    assert found["steps"] >= (0 if life == "discarded" and nameless else 6)
    assert set(found["contents"]) <= {"old", "new"}
    if life in {"keep", "replace"}:
        assert set(found["contents"]) == {"old", "new"}
    if life != "discarded":
        assert found["between"]  # some of the kills did leave something for the journal


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_on_a_file_system_in_memory_too(run_on: Script, tmp_path: Path, kind: str) -> None:
    found = run_on(
        kind,
        "mode=700",
        """
from framework.recovery import reclaim

async def life():
    provider = await ready(temp_directory=where)
    held = [await provider.create_local_file("a", where + "/a", 10), await provider.create_directory("d", where + "/d")]
    await held[0].release()
    await held[1].release()

step, between = 0, []
while killed(step, life):
    between.extend(everything())
    reclaim()
    step += 1
report(steps=step, between=sorted(set(between)), left=everything())
        """,
        tmp_path,
    )
    assert found["steps"] >= 14
    assert {"a", "d"} <= set(found["between"])
    assert found["left"] == []


@pytest.mark.parametrize("what", ["file", "link", "directory", "copy"])
def test_what_took_the_place_of_a_dead_process_file_is_left_alone(run: Script, tmp_path: Path, what: str) -> None:
    found = run(
        f"""
from framework.recovery import reclaim
what = {what!r}

async def life():
    file = await (await ready()).create_local_file("a", where + "/a", 3)
    os.kill(os.getpid(), signal.SIGKILL)

assert killed(-1, life)  # not at a step
os.rename(where + "/a", where + "/moved")
if what == "link":
    os.symlink(where + "/moved", where + "/a")
elif what == "directory":
    os.mkdir(where + "/a")
else:
    with open(where + "/a", "w") as file:
        file.write("mine")
    if what == "copy":
        os.setxattr(where + "/a", "user.framework.lease", b"0" * 28)
outcomes = [one.outcome for one in reclaim()]
report(left=everything(), outcomes=outcomes)
        """,
        tmp_path,
    )
    assert found["left"] == ["a", "moved"]
    assert "reclaimed" not in found["outcomes"]


@pytest.mark.anyio
async def test_the_journal_knows_exactly_what_outlives_the_process(
    provider: FileProvider, tmp_path: Path, journalled: Callable[[], list[str]]
) -> None:
    temp = await provider.create_temp_file("t", directory=tmp_path)
    draft = await provider.create_local_file("r", tmp_path / "r", replace=True)
    kept = [
        await provider.create_local_file("p", tmp_path / "p", persistent=True),
        await provider.create_directory("q", tmp_path / "q", persistent=True),
    ]
    assert journalled() == []
    path = temp.path  # which it gets now
    assert journalled() == [f"unlink {path} "]
    await temp.keep_as(tmp_path / "t")
    assert journalled() == []
    await draft.release()
    local = await provider.create_local_file("a", tmp_path / "a")
    (line,) = journalled()
    assert line.startswith(f"unlink {local.path} mark:")
    assert os.getxattr(local.fd, "user.framework.lease").decode() == line.rpartition(":")[2]
    for one in (*kept, local, temp):
        await one.release()
    assert journalled() == []


@pytest.mark.anyio
async def test_a_journal_without_room_is_an_error_before_anything_is_made(run_on: Script, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    found = run_on(
        "tmpfs",
        "size=64k",
        """
        os.environ["XDG_STATE_HOME"] = where + "/state"
        async def main():
            provider = await ready()
            target = os.path.dirname(where) + "/other"
            os.mkdir(target)
            await (await provider.create_local_file("first", target + "/first")).release()
            temp = await provider.create_temp_file("t", directory=target)
            with open(where + "/filler", "wb", buffering=0) as filler:
                os.posix_fallocate(filler.fileno(), 0, os.statvfs(where).f_bavail * 4096)
            from framework.journal import Journal
            try:
                while True:
                    Journal.current()._append(b"x" * 50)  # up to the end of its page
            except OSError:
                pass
            report(
                local=await refused(provider.create_local_file("a", target + "/a")),
                folder=await refused(provider.create_directory("d", target + "/d")),
                temp=await refused(named(temp)),
                left=os.listdir(target),
            )
            await temp.release()
            os.rmdir(target)

        async def named(temp):
            return temp.path

        asyncio.run(main())
        """,
        disk,
    )
    for name, text in (found["local"], found["folder"], found["temp"]):
        assert name == ResourceUnavailableError.__name__
        assert "journal" in text
    assert found["left"] == []
