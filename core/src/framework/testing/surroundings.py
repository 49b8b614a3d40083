"""`Surroundings`: the private folders in which every conformance suite runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from framework.journal import Journal
from framework.testing.outside import look
from framework.testing.scene import Scene


def private_folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the process a temporary folder, a state folder and a cache folder of its own; yield where they are.

    The journal of leases is in the state folder, so the process gets a new one too.

    The folder's name is short, because it must leave room for the name of a socket, which has 108 bytes at most.
    """
    from multiprocessing import util

    # both are made once for the process and used until its end: they must not be made in here
    util.get_temp_dir()
    if {"tmp_path", "tmp_path_factory"} & set(request.fixturenames):
        request.getfixturevalue("tmp_path_factory").getbasetemp()
    folder = tempfile.mkdtemp(prefix="kit-")
    temporary = os.path.join(folder, "t")
    os.mkdir(temporary)
    monkeypatch.setenv("TMPDIR", temporary)
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setenv("XDG_STATE_HOME", os.path.join(folder, "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(folder, "cache"))
    former, Journal._current = Journal._current, None
    try:
        yield folder
    finally:
        Journal.forget(remove=False)
        Journal._current = former
        shutil.rmtree(folder, ignore_errors=True)


class Surroundings:
    """Base of the suites: what they write by mistake they write where it is seen, and where nobody else looks."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, as the host does."""
        return "asyncio"

    @pytest.fixture(autouse=True)
    def private_folders(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A temporary folder, a state folder and a cache folder of this test's own."""
        look()  # from here on it is known what this process makes outside, also in a fixture of the suite's author
        yield from private_folders(request, monkeypatch)

    @pytest.fixture
    def scene(self, request: pytest.FixtureRequest) -> Scene:
        """What sees what a killed child leaves, also in the folder `tmp_path`, if the test uses that."""
        return Scene(str(request.getfixturevalue("tmp_path")) if "tmp_path" in request.fixturenames else "")
