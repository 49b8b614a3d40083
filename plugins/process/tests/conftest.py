"""Fixtures shared by the tests of this plugin."""

import glob
import os
from collections.abc import AsyncIterator, Callable, Iterator

import psutil
import pytest

from framework.journal import Journal
from plugin_process import ProcessProvider, ProcessSettings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provider() -> AsyncIterator[ProcessProvider]:
    """Gives so long a grace period that what obeys is not killed, however busy the machine is."""
    provider = ProcessProvider(ProcessSettings(stop_grace=15))
    await provider.initialize()
    yield provider
    await provider.cleanup()


@pytest.fixture
async def impatient() -> AsyncIterator[ProcessProvider]:
    """A provider for what does not obey."""
    provider = ProcessProvider(ProcessSettings(stop_grace=0.2))
    await provider.initialize()
    yield provider
    await provider.cleanup()


@pytest.fixture
def footprint() -> Callable[[], tuple[set[tuple[str, str]], set[int]]]:
    """Reads what this process holds: its descriptors, and its children with those that nobody reaped."""

    def read() -> tuple[set[tuple[str, str]], set[int]]:
        descriptors = set()
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                path = os.readlink(f"/proc/self/fd/{descriptor}")
            except FileNotFoundError:  # the descriptor of the listing itself
                continue
            if not path.endswith(".journal"):  # the process' own, made once, and written anew now and then
                descriptors.add((descriptor, path))
        return descriptors, {child.pid for child in psutil.Process().children()}

    return read


@pytest.fixture
def groups() -> Callable[[], list[str]]:
    """Finds the control groups that this process has made; other ones may be running tests too."""

    def find() -> list[str]:
        journal = Journal.current()
        token = journal.owner.token if journal else ""
        return glob.glob(f"/sys/fs/cgroup/**/framework-{token}*", recursive=True)

    return find


@pytest.fixture(autouse=True)
def _nothing_is_left(
    footprint: Callable[[], tuple[set[tuple[str, str]], set[int]]], groups: Callable[[], list[str]]
) -> Iterator[None]:
    before = footprint()[1]
    yield
    assert footprint()[1] == before
    assert groups() == []
