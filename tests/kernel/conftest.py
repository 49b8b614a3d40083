"""Fixtures of the kernel's tests."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from framework import journal, recovery
from framework.identity import Owner
from framework.journal import Target
from framework.journal import format as records
from framework.lease import Lease


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


class Leftovers:
    """Writes journals as processes that are dead had left them, into a directory of its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self.directory = directory
        self._numbers = itertools.count(1)

    def owner(self, **changed: Any) -> Owner:
        """Return who is dead: this process under another token, or whoever else is said."""
        return dataclasses.replace(Owner.this(time.time()), token=os.urandom(8).hex(), **changed)

    def lease(self, kind: str = "kind.x", name: str = "", size: int = 0) -> Lease:
        """Return a lease to intend something for."""
        return Lease(kind, name, "somebody", size)

    def write(self, owner: Owner, *said: bytes) -> Path:
        """Write a journal that nobody holds."""
        path = self.directory / f"{owner.pid}-{next(self._numbers)}{journal.SUFFIX}"
        path.write_bytes(b"".join((records.header(owner), *said)))
        path.chmod(0o600)
        return path

    def leave(self, *targets: Target, **changed: Any) -> Path:
        """Write a journal of one lease that intended to undo these."""
        lease = self.lease()
        return self.write(self.owner(**changed), *(records.intent(lease, target) for target in targets))

    def reclaim(self, **options: Any) -> list[tuple[str, str]]:
        """Have the journals settled, and return outcomes and reasons."""
        return [(done.outcome, done.reason) for done in recovery.reclaim(str(self.directory), **options)]

    def journals(self) -> list[Path]:
        """Return what is in the directory."""
        return sorted(self.directory.iterdir())


@pytest.fixture
def leftovers(tmp_path: Path) -> Leftovers:
    """Journals of processes that are dead, in a directory of their own."""
    return Leftovers(tmp_path / "leases")


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs a piece of Python in a process of its own, perhaps by way of another program."""

    def run(code: str, *arguments: str, by: Sequence[str] = (), **environ: str) -> subprocess.CompletedProcess[str]:
        command = [*by, sys.executable, "-c", code, *arguments]
        home = {"XDG_STATE_HOME": str(tmp_path / "state"), **environ}
        options: dict[str, Any] = {"env": {**os.environ, **home}, "capture_output": True, "text": True, "timeout": 60}
        return subprocess.run(command, **options, check=False)

    return run


@pytest.fixture
def can_unshare() -> Callable[..., None]:
    """A function that skips the test, with the reason, where no namespaces can be made."""

    def check(*kinds: str) -> None:
        done = subprocess.run(["unshare", *kinds, "true"], capture_output=True, text=True, check=False)
        if os.geteuid() != 0 or done.returncode:
            pytest.skip(f"needs root and unshare {' '.join(kinds)}: {done.stderr.strip()}")

    return check


@pytest.fixture
def public() -> Iterator[Path]:
    """An empty folder that ordinary users can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def as_nobody() -> Callable[[Path, Callable[[], object]], None]:
    """A function that does something in a child that is an ordinary user, to whom it gives a folder first."""

    def run(folder: Path, work: Callable[[], object]) -> None:
        if os.geteuid() != 0:
            work()
            return
        for place, _, files in os.walk(folder):
            for name in (place, *(os.path.join(place, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)
        child = os.fork()
        if child == 0:
            try:
                os.chdir(folder)
                os.setuid(NOBODY)
                work()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0

    return run


NOBODY = 65534
