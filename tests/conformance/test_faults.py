"""The plugins that misbehave on purpose do so, in the phase that was asked for and in no other."""

import subprocess
import sys
import time

import anyio
import pytest

from framework import Plugin
from framework.testing import PHASES, blocking_plugin, broken_plugin, hanging_plugin


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def live(cls: type[Plugin], until: str = "") -> None:
    """Take a plugin through its phases, up to and including the one given."""
    plugin = cls()
    last = PHASES.index(until) if until else len(PHASES)
    for phase in PHASES[1 : last + 1]:
        call = getattr(plugin, "register_resource_providers" if phase == "register" else phase)
        await call()


def ran(code: str) -> subprocess.CompletedProcess[str]:
    head = "import asyncio, os, signal, sys, threading\nfrom framework.testing import exiting_plugin, meddling_plugin\n"
    return subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.anyio
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_a_broken_plugin_raises_in_its_phase(phase: str, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await live(broken_plugin("bad", phase, error))
    if phase != "construct":
        await live(broken_plugin("bad", phase, error), PHASES[PHASES.index(phase) - 1])


@pytest.mark.anyio
@pytest.mark.parametrize("phase", PHASES[1:])
async def test_a_hanging_plugin_waits_until_it_is_cancelled(phase: str) -> None:
    with anyio.move_on_after(0.05) as scope:
        await live(hanging_plugin("bad", phase))

    assert scope.cancelled_caught


@pytest.mark.anyio
async def test_a_blocking_plugin_keeps_the_thread() -> None:
    begin = time.perf_counter()
    with anyio.move_on_after(0.001):
        await live(blocking_plugin("bad", "initialize", 0.1), "initialize")

    assert time.perf_counter() - begin >= 0.1


def test_an_exiting_plugin_ends_the_process_without_any_clean_up() -> None:
    done = ran(
        "try:\n    asyncio.run(exiting_plugin('bad', 'initialize', 7)().initialize())\nfinally:\n    print('end')"
    )

    assert (done.returncode, done.stdout) == (7, "")


def test_a_meddling_plugin_changes_what_it_says() -> None:
    done = ran(
        "bad = meddling_plugin('bad', 'construct')\nbad()\n"
        "print(sys.path[-1], os.environ['MEDDLED'], signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN)\n"
        "bad.stop()\n[one.join() for one in threading.enumerate() if one.name == 'meddling-bad']\n"
    )

    assert (done.stdout, done.stderr) == ("/meddled/bad bad True\n", "")


@pytest.mark.parametrize("make", [lambda: hanging_plugin("bad", "construct"), lambda: hanging_plugin("bad", "lunch")])
def test_a_phase_that_there_is_not_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="phase is"):
        make()
