"""`Scene`: where a child of the test was killed. It finds what the child left, and sees who tidies up what."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Self

from framework import journal, recovery
from framework.journal import Content, Journal
from framework.records import Reclamation, Recovery
from framework.recovery.children import VARIABLE
from framework.resources import ResourceProvider
from framework.testing import traces
from framework.testing.forks import in_thread
from framework.testing.traces import Traces, child_processes, files_below, has_ended

_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37
_OTHERS = os.urandom(16).hex()  # the token of nobody's lease, and of no other test that runs now


class Scene(contextlib.AbstractContextManager["Scene"]):
    """Looks at this machine before children of the test are killed, and after each.

    While it is entered, whoever loses its parent becomes a child of this process, where it is seen, and a process
    stands by that carries the token of a lease of nobody's, which must survive.

    Args:
        folder: Where else files may be left than in the folder for temporary ones; nowhere if empty.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._adopting = _adopt_orphans(True)  # noqa: FBT003 - as prctl takes it
        self._bystander = subprocess.Popen(
            ["cat"],  # it ends with its input, that is, with this process
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, VARIABLE: f":{_OTHERS[:28]}"},
        )
        self._lookalikes: dict[str, os.stat_result] = {}
        self.before = Traces.now()
        self._files = self._seen()
        return self

    def __exit__(self, *_: object) -> None:
        self._hurt()
        for pid in child_processes() - self.before.children:
            with contextlib.suppress(OSError):
                os.kill(
                    pid, signal.SIGKILL
                )  # a child of ours, for which nobody has waited: the number is still its own
                os.waitpid(pid, 0)
        assert self._bystander.stdin is not None
        self._bystander.stdin.close()
        self._bystander.wait()
        _adopt_orphans(self._adopting)

    async def tidied(self, provider: ResourceProvider) -> str:
        """Have two reclaimers at once give back what the dead left; return what is wrong then, or nothing."""
        self._place_lookalikes()
        await provider.initialize()
        try:
            both = await asyncio.gather(reclaimed(provider), reclaimed(provider))
            again = await reclaimed(provider)
        finally:
            await provider.cleanup()
        outcomes = [one for each in both for one in each]
        for one in outcomes:
            if one.outcome not in {"reclaimed", "gone"}:
                return f"{one.kind} {one.name!r} was {one.outcome}: {one.reason}"
        if again:
            return f"after everything was given back, there was still {again}"
        left = await self.left()
        return f"left: {left}" if left else self._hurt()

    async def left(self) -> dict[str, list[str]]:
        """Return what is there and was not before, by family; what is just going is waited for."""
        deadline = time.monotonic() + traces.PATIENCE_S
        left = self._added()
        while left and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            left = self._added()
        return left

    def _added(self) -> dict[str, list[str]]:
        for pid in child_processes() - self.before.children:
            if has_ended(pid):  # an orphan, for which nobody else waits
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        left = self.before.added()
        mine = {os.path.basename(one) for one in self._lookalikes}
        files = self._seen() - self._files
        left["files"] = [one for one in {*left.get("files", ()), *files} if os.path.basename(one) not in mine]
        for family in ("segments", "groups"):
            left[family] = [one for one in left.get(family, ()) if one not in self._lookalikes]
        left["journals"] = [path for path, _ in journals()]
        return {family: those for family, those in left.items() if those}

    def _seen(self) -> set[str]:
        return files_below(self._folder) if self._folder else set()

    def _place_lookalikes(self) -> None:
        """Put beside each thing that was intended one that has a like name, and is of no lease."""
        for _, content in journals():
            for entry in content.entries.values():
                token = journal.token(content.owner, entry.id) if content.owner else ""
                for target in entry.targets:
                    other = target.path.replace(token, _OTHERS[: len(token)])
                    self._place(target.verb, other if other != target.path else f"{other}-")

    def _place(self, verb: Recovery, path: str) -> None:
        if verb is Recovery.KILL or not os.path.isdir(os.path.dirname(path)) or os.path.lexists(path):
            return
        if verb in {Recovery.RMTREE, Recovery.RMDIR}:
            os.mkdir(path, 0o700)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._lookalikes[path] = os.lstat(path)

    def _hurt(self) -> str:
        """Return which bystander was hurt, or nothing; then the look-alikes are removed."""
        found = {path: _stat(path) for path in self._lookalikes}
        for path, now in found.items():
            if now is not None:
                (os.rmdir if os.path.isdir(path) else os.unlink)(path)
        hurt = [path for path, now in found.items() if now is None or not os.path.samestat(now, self._lookalikes[path])]
        self._lookalikes.clear()
        if self._bystander.poll() is not None:
            hurt.append(f"a process with another token than any lease ({_OTHERS[:28]})")
        return f"removed, though another's: {hurt}" if hurt else ""


async def reclaimed(provider: ResourceProvider) -> list[Reclamation]:
    """Give back what dead processes left, in a thread, as a host does."""
    loop = asyncio.get_running_loop()

    def provide(kind: str, path: str) -> None:
        assert kind in {one.kind for one in provider.kinds()}
        asyncio.run_coroutine_threadsafe(provider.reclaim(path), loop).result()

    return await in_thread(functools.partial(recovery.reclaim, provide=provide))


def journals() -> Iterator[tuple[str, Content]]:
    """Yield the path and the content of each journal but that of this process."""
    own = Journal.existing()
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(journal.directory_path())):
            path = os.path.join(journal.directory_path(), name)
            # one with a dot never became a journal, and is removed after a while
            if name[0] != "." and (own is None or path != own.path):
                with open(path, "rb") as file:
                    yield path, journal.parse(file.read())


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _adopt_orphans(yes: bool) -> bool:
    """Have descendants that lose their parent become children of this process, or not; return what held before."""
    if sys.platform != "linux":
        return False
    former = ctypes.c_int()
    call: Callable[..., int] = ctypes.CDLL(None).prctl
    call(_GET_CHILD_SUBREAPER, ctypes.byref(former), 0, 0, 0)
    call(_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)
    return bool(former.value)
