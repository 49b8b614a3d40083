"""Leases that end by themselves, and sweeps."""

import asyncio
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Ledger, Resource, ResourceProvider, creates
from framework.errors import InvalidRequestError
from framework.housekeeping import Housekeeper
from framework.lease import Lease

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.anyio


class Thing(Resource):
    """Says when it is given back, and may take its time."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()

    async def _close(self) -> None:
        self.closing.set()
        await self.may_close.wait()


class Things(ResourceProvider):
    """Provides things."""

    @creates("kind.x")
    async def create_one(self, name: str) -> Thing:
        """A thing."""
        return Thing()


@pytest.fixture
async def things() -> AsyncIterator[Things]:
    """A provider whose leases end by themselves."""
    ledger = Ledger()
    keeper = Housekeeper(ledger, lambda _kind, _path: None, None)
    provider = Things(ledger)
    await provider.initialize()
    await keeper.start()
    yield provider
    await keeper.stop()
    await provider.cleanup()


async def test_a_lease_whose_time_is_over_is_given_back(things: Things) -> None:
    thing = await things.create_one(name="x")
    thing.renew(0.02)
    await thing.closing.wait()
    assert things.ledger.events()["expired", "kind.x"] == 1


async def test_a_lease_that_was_renewed_is_kept(things: Things) -> None:
    kept, ends = await things.create_one(name="kept"), await things.create_one(name="ends")
    kept.renew(0.02)
    kept.renew(1000)
    forever = await things.create_one(name="forever")
    forever.renew(0.02)
    forever.renew(None)
    ends.renew(0.05)
    await ends.closing.wait()
    assert kept.is_allocated()
    assert forever.is_allocated()


async def test_a_lease_that_was_renewed_for_less_ends_sooner(things: Things) -> None:
    thing = await things.create_one(name="x")
    thing.renew(1000)
    thing.renew(0.02)
    await thing.closing.wait()


@pytest.mark.parametrize("ttl", [float("nan"), float("inf"), 0, -1, "5", True])
async def test_an_end_that_is_none_is_refused_and_keeps_no_other_from_coming(things: Things, ttl: Any) -> None:
    thing, other = [await things.create_one(name=name) for name in ("x", "y")]
    with pytest.raises(InvalidRequestError, match="allowed: a number of seconds above 0"):
        thing.renew(ttl)
    other.renew(0.02)
    await other.closing.wait()
    assert thing.is_allocated()


async def test_a_lease_that_had_no_end_may_get_one_again(things: Things) -> None:
    thing, other = await things.create_one(name="x"), await things.create_one(name="y")
    thing.renew(0.02)
    thing.renew(None)
    other.renew(0.03)
    await other.closing.wait()
    thing.renew(0.02)
    await thing.closing.wait()


async def test_a_lease_may_be_renewed_in_another_thread(things: Things) -> None:
    thing = await things.create_one(name="x")
    thread = threading.Thread(target=thing.renew, args=(0.02,))
    thread.start()
    await thing.closing.wait()
    thread.join()


async def test_one_that_hangs_while_it_is_given_back_keeps_up_no_other(things: Things) -> None:
    hangs, other = await things.create_one(name="hangs"), await things.create_one(name="other")
    hangs.may_close.clear()
    hangs.renew(0.02)
    await hangs.closing.wait()
    other.renew(0.02)
    await other.closing.wait()
    hangs.may_close.set()


@pytest.mark.parametrize("jump", [1e6, -1e6])
async def test_a_clock_that_is_set_ends_no_lease_and_keeps_none(
    things: Things, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    kept, ends = await things.create_one(name="kept"), await things.create_one(name="ends")
    kept.renew(1000)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    ends.renew(0.02)
    await ends.closing.wait()
    assert kept.is_allocated()
    assert kept.lease.expires_at == pytest.approx(time.time() + 1000, abs=60)


async def test_leases_that_are_given_back_in_time_are_not_remembered() -> None:
    ledger = Ledger()
    keeper = Housekeeper(ledger, lambda _kind, _path: None, None)
    await keeper.start()
    for number in range(5000):
        lease = ledger.open("kind.x", "x", "me", 0)
        lease.ends = time.monotonic() + 1000 + number
        keeper._enter(lease)
        ledger.fail(lease)
    assert len(keeper._ends) <= 1001
    assert len(keeper._watched) <= 1001
    await keeper.stop()


steps = st.lists(
    st.one_of(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(1, 20))), st.integers(1, 8)), max_size=60
)


@given(steps)
async def test_each_lease_is_due_once_when_its_last_end_has_come(script: list[Any]) -> None:
    keeper = Housekeeper(Ledger(), lambda _kind, _path: None, None)
    keeper._loop = asyncio.get_running_loop()
    leases = [Lease("kind.x", str(number), "me", 0) for number in range(4)]
    now = 0.0
    for step in script:
        if isinstance(step, tuple):
            lease, ttl = leases[step[0]], step[1]
            lease.ends = None if ttl is None else now + ttl
            if lease.ends is not None and keeper._watched.get(lease.id, lease.ends + 1) > lease.ends:
                keeper._enter(lease)  # what `watch` does, and its loop a moment later
        else:
            now += step
            due = keeper._due(now)
            assert sorted(one.name for one in due) == [
                one.name for one in leases if one.ends is not None and one.ends <= now
            ]
            for one in due:
                one.ends = None  # it is given back


def test_what_a_dead_process_left_is_given_back_at_the_start(run_python: Run) -> None:
    done = run_python(SWEEPS)
    assert done.stdout == "True {('reclaimed', 'kind.x'): 1} False\n", done.stderr


SWEEPS = """
import asyncio, os
from framework import Ledger, Recovery, journal
from framework.errors import InvalidRequestError
from framework.housekeeping import Housekeeper
from framework.journal import Target
path = os.path.join(os.environ["XDG_STATE_HOME"], "left-")
child = os.fork()
if child == 0:
    ledger = Ledger()
    lease = ledger.open("kind.x", "", "me", 0)
    path += ledger.token(lease)
    ledger.intend(lease, Target(Recovery.UNLINK, path))
    open(path, "w").close()
    os._exit(0)
os.waitpid(child, 0)
(path,) = [os.path.join(os.path.dirname(path), name) for name in os.listdir(os.path.dirname(path)) if "left-" in name]
print(os.path.exists(path), end=" ")
async def main():
    ledger = Ledger()
    keeper = Housekeeper(ledger, lambda kind, path: None, 1000.0)
    await keeper.start()
    await keeper.stop()
    print(ledger.events(), os.path.exists(path))
asyncio.run(main())
"""


def test_closing_does_not_wait_for_a_sweep_that_hangs(run_python: Run) -> None:
    done = run_python(HANGS)
    assert done.stdout == "stopped\n", done.stderr


HANGS = """
import asyncio, os, threading
from framework import Ledger, Recovery
from framework.errors import InvalidRequestError
from framework.housekeeping import Housekeeper
from framework.journal import Target
if (child := os.fork()) == 0:
    ledger = Ledger()
    ledger.intend(ledger.open("kind.x", "", "me", 0), Target(Recovery.PROVIDER, "x"))
    os._exit(0)
os.waitpid(child, 0)
asked = threading.Event()
def hang(kind, path):
    asked.set()
    threading.Event().wait()
async def main():
    keeper = Housekeeper(Ledger(), hang, 1000.0)
    start = asyncio.create_task(keeper.start())
    await asyncio.to_thread(asked.wait)
    await keeper.stop()
    start.cancel()
    print("stopped", flush=True)
asyncio.run(main())
"""


def test_a_sweep_that_hangs_keeps_no_lease_from_ending(run_python: Run) -> None:
    done = run_python(DEAD + SLOW)
    assert done.stdout == "ended\n", done.stderr


DEAD = """
import asyncio, os, threading
from framework import Framework, Ledger, Recovery, Resource, ResourceProvider, creates, housekeeping
from framework.errors import InvalidRequestError
from framework.housekeeping import Housekeeper
from framework.journal import Journal, Target
if (child := os.fork()) == 0:
    ledger = Ledger()
    ledger.intend(ledger.open("kind.x", "", "me", 0), Target(Recovery.PROVIDER, "x"))
    os._exit(0)
os.waitpid(child, 0)
"""
SLOW = """
class Thing(Resource):
    def __init__(self):
        self.closing = asyncio.Event()
    async def _close(self):
        self.closing.set()
class Things(ResourceProvider):
    @creates("kind.y")
    async def create_one(self) -> Thing:
        return Thing()
asked = threading.Semaphore(0)
def hang(kind, path, times=iter(range(2))):
    asked.release()
    if next(times) == 1:
        threading.Event().wait()
    raise OSError("not yet")
async def main():
    things = Things()
    await things.initialize()
    await Housekeeper(things.ledger, hang, 0.01).start()
    for _ in range(2):
        await asyncio.to_thread(asked.acquire)
    thing = await things.create_one()
    thing.renew(0.02)
    await thing.closing.wait()
    print("ended", flush=True)
    os._exit(0)
asyncio.run(main())
"""


def test_where_nothing_shall_be_swept_the_own_journal_is_repaired_all_the_same(run_python: Run) -> None:
    done = run_python(DEAD + UNSWEPT)
    assert done.stdout == "repaired twice, []\n", done.stderr


UNSWEPT = """
housekeeping._LONGEST = 0.01  # not an hour
swept = []
async def main():
    ledger = Ledger()
    ledger.intend(ledger.open("kind.y", "", "me", 0), Target(Recovery.PROVIDER, "y"))
    keeper = Housekeeper(ledger, lambda kind, path: swept.append(kind), None)
    await keeper.start()
    for _ in range(2):
        os.unlink(Journal.current().path)
        while not os.path.exists(Journal.current().path):
            await asyncio.sleep(0.01)
    await keeper.stop()
    print("repaired twice,", swept)
    os._exit(0)
asyncio.run(main())
"""


def test_what_a_plugin_that_is_not_here_could_undo_is_left_to_who_has_it(run_python: Run) -> None:
    """However often that is seen: to have no plugin for it is no attempt that failed."""
    done = run_python(DEAD + WITHOUT)
    assert (
        done.stdout.splitlines()
        == ["skipped only the plugin that provides kind.x can undo it: No installed plugin"] * 5
    )


WITHOUT = """
async def main():
    async with Framework.from_config({"plugins": {"memory": {}}, "leases": {"reclaim": False}}) as host:
        for _ in range(5):
            for one in await host.reclaim():
                print(one.outcome, one.reason.partition(" provides 'kind.x'")[0])
asyncio.run(main())
"""
