from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from framework.journal import Journal, parse
from plugin_file import FileProvider

PRELUDE = """
import asyncio, json, os, signal, sys
from framework.errors import FrameworkError
from framework.testing.crashes import killed_at_step
from plugin_file import FileProvider

def report(**found):
    print(json.dumps(found), flush=True)

async def refused(awaitable):
    try:
        await awaitable
    except FrameworkError as error:
        return [type(error).__name__, str(error)]
    return ["accepted", ""]

async def ready(**settings):
    provider = FileProvider(**settings)
    await provider.initialize()
    return provider

def killed(step, life):
    # whether a child that lives that life was killed by then
    if (child := os.fork()) == 0:
        with killed_at_step(step, "link", "unlink", "replace", "rename", "mkdir", "rmdir"):
            asyncio.run(life())
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}, status
    return status != 0

def everything():
    return sorted(os.path.relpath(os.path.join(one, name), where) for one, folders, files in os.walk(where)
                  for name in folders + files)

where = sys.argv[1]
"""

Script = Callable[..., dict[str, Any]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provider() -> AsyncIterator[FileProvider]:
    """A provider of its own; after the test it must have closed every descriptor that it opened."""
    Journal.current()  # which stays open
    before = len(os.listdir("/proc/self/fd"))
    provider = FileProvider()
    await provider.initialize()
    yield provider
    await provider.cleanup()
    assert len(os.listdir("/proc/self/fd")) == before


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

    def run_script(body: str, where: Path, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
        command = [*prefix, sys.executable, "-c", PRELUDE + textwrap.dedent(body), str(where)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (done.returncode, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run_script


@pytest.fixture
def run_on(run: Script) -> Script:
    """Like `run`, with a file system of its own mounted on the directory, which only the program sees."""

    def run_script(kind: str, options: str, body: str, where: Path) -> dict[str, Any]:
        shell = f'mount -t {kind} -o {options} {kind} "$0" && exec "$@"'
        prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", shell, str(where))
        try:
            subprocess.run([*prefix, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs root and mount namespaces for a {kind} of its own: {error}")
        return run(body, where, prefix=prefix)

    return run_script


@pytest.fixture
def as_nobody() -> tuple[str, ...]:
    """What to put before a command so that the user `nobody` runs it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    try:
        subprocess.run([*prefix, sys.executable, "-c", "import plugin_file"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the user nobody cannot run this interpreter here: {error}")
    return prefix
