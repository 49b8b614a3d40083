"""`Surroundings`: the private folders in which every conformance suite runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest


def private_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the process a temporary folder, a state folder and a cache folder of its own; yield where they are.

    The folder's name is short, because it must leave room for the name of a socket, which has 108 bytes at most.
    """
    from multiprocessing import util

    util.get_temp_dir()  # made once for the process and used until its end: it must not be made in here
    folder = tempfile.mkdtemp(prefix="kit-")
    temporary = os.path.join(folder, "t")
    os.mkdir(temporary)
    monkeypatch.setenv("TMPDIR", temporary)
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setenv("XDG_STATE_HOME", os.path.join(folder, "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(folder, "cache"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Surroundings:
    """Base of the suites: what they write by mistake they write where it is seen, and where nobody else looks."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, as the host does."""
        return "asyncio"

    @pytest.fixture(autouse=True)
    def private_folders(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A temporary folder, a state folder and a cache folder of this test's own."""
        yield from private_folders(monkeypatch)
