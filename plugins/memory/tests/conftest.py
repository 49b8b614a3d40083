from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from framework.journal import Journal, parse
from plugin_memory import MemoryProvider

PRELUDE = """
import asyncio, errno, gc, json, mmap, os, sys
from framework.errors import FrameworkError
from plugin_memory import MemoryProvider

def report(**found):
    print(json.dumps(found), flush=True)

async def refused(awaitable):
    try:
        await awaitable
    except FrameworkError as error:
        return [type(error).__name__, str(error)]
    return ["accepted", ""]

def segments():
    return sorted(os.listdir("/dev/shm"))
"""

Script = Callable[..., dict[str, Any]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def unique() -> Iterator[str]:
    """A name that no other test uses; nothing named after it may be left when the test ends."""
    name = f"t{uuid.uuid4().hex[:12]}"
    yield name
    left = [found for found in os.listdir("/dev/shm") if name in found] if os.path.isdir("/dev/shm") else []
    for found in left:
        os.unlink(f"/dev/shm/{found}")
    assert not left


@pytest.fixture
async def provider(unique: str) -> AsyncIterator[MemoryProvider]:
    """A provider of its own, released before `unique` looks for what was left."""
    provider = MemoryProvider()
    await provider.initialize()
    yield provider
    await provider.cleanup()


@pytest.fixture
def prelude() -> str:
    """How the programs begin that tests run."""
    return PRELUDE


@pytest.fixture
def journalled() -> Callable[[], list[str]]:
    """Return what the journal of this process says must be undone, a line each."""

    def lines() -> list[str]:
        journal = Journal.existing()
        entries = parse(journal.content()).entries.values() if journal else ()
        return [f"{one.verb.value} {one.path} {one.proof}" for entry in entries for one in entry.targets]

    return lines


@pytest.fixture
def run() -> Script:
    """Run a program in a process of its own, which prints what it found as one JSON object."""

    def run_script(body: str, *arguments: str, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
        command = [*prefix, sys.executable, "-c", PRELUDE + textwrap.dedent(body), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (done.returncode, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run_script


@pytest.fixture
def run_with_small_shm(run: Script) -> Script:
    """Like `run`, in a mount namespace whose /dev/shm holds 64 MiB, or what is said."""
    shell = 'mount -t tmpfs -o "$0" tmpfs /dev/shm && exec "$@"'
    prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", shell)
    try:
        subprocess.run([*prefix, "size=64m", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs root and mount namespaces for a small /dev/shm: {error}")

    def run_script(body: str, *arguments: str, options: str = "size=64m") -> dict[str, Any]:
        return run(body, *arguments, prefix=(*prefix, options))

    return run_script


@pytest.fixture
def as_nobody() -> tuple[str, ...]:
    """What to put before a command so that the user `nobody` runs it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    try:
        subprocess.run([*prefix, sys.executable, "-c", "import plugin_memory"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the user nobody cannot run this interpreter here: {error}")
    return prefix
