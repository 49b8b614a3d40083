"""Long rows of leases: cancelled at random moments, and simply very many."""

import asyncio
import gc
import itertools
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tests.system import faults
from tests.system.killing.kinds import Kinds, Places
from tests.system.test_kill import each

from framework import Framework, Plugin, PluginType, Recovery, Resource, ResourceProvider, creates, hookimpl, plugin
from framework.journal import Journal

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Slow(Resource):
    """An open file that takes several turns of the loop to be made and to be given back."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    async def _close(self) -> None:
        await asyncio.sleep(0)
        os.close(self.descriptor)
        await asyncio.sleep(0)


class Noted(Resource):
    """Nothing, of which the journal knows."""

    def _close(self) -> None:
        """Nothing to give back."""


class Others(ResourceProvider):
    """Provides what the kill tests do not."""

    @creates("test.slow")
    async def create_slow(self, name: str) -> Slow:
        """An open file."""
        await asyncio.sleep(0)
        descriptor = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)
        try:
            await asyncio.sleep(0)
        except BaseException:
            os.close(descriptor)
            raise
        return Slow(descriptor)

    @creates("test.noted")
    async def create_noted(self, name: str) -> Noted:
        """Something to undo."""
        self.intend(Recovery.UNLINK, f"/nowhere/{self.token()}")
        return Noted()


def host(root: Path) -> Framework:
    """Return a host of all these kinds."""

    @plugin(
        name="endurance", version="1", description="d", author="a", plugin_type=PluginType.PROVIDER, dependencies=[]
    )
    class Endurance(Plugin):
        """Registers them."""

        @hookimpl
        def register_resource_providers(self) -> list[ResourceProvider]:
            return [Others(), Kinds(Places(str(root)))]

    return Framework.from_config({"plugins": {}}, plugins=[Endurance()])


def descriptors() -> int:
    """Return how many files are open."""
    return len(os.listdir("/proc/self/fd"))


async def use(fw: Framework, kind: str, rng: random.Random, awaits: float) -> None:
    """Acquire and release, in one of the ways that there are."""
    if awaits < 0.4:
        async with fw.acquire(kind, name="x"):
            await asyncio.sleep(0)
    elif awaits < 0.6:
        async with asyncio.timeout(rng.random() * 0.0002):
            async with fw.acquire(kind, name="x"):
                await asyncio.sleep(0)
    elif awaits < 0.8:
        await asyncio.wait_for(fw.acquire(kind, name="x"), 0.0002)  # nobody takes it
    else:
        await (await fw.acquire(kind, name="x", ttl=1000)).release()


async def cancel_twenty(fw: Framework, rng: random.Random) -> int:
    """Have twenty tasks acquire and release, and cancel them; return how many did not get through."""
    tasks = [
        asyncio.ensure_future(use(fw, rng.choice(["test.slow", "kill.file", "kill.folder"]), rng, rng.random()))
        for _ in range(20)
    ]
    for _ in range(rng.randrange(7)):
        await asyncio.sleep(0)
        rng.choice(tasks).cancel()
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [one for one in done if one and not isinstance(one, asyncio.CancelledError | TimeoutError)]
    return sum(isinstance(one, asyncio.CancelledError) for one in done)


@pytest.mark.parametrize("times", each(faults.CANCELLATIONS))
async def test_random_cancellations_lose_no_lease(tmp_path: Path, times: int) -> None:
    rng = random.Random(times)
    files = tmp_path / "files"
    files.mkdir()
    cancelled = 0
    async with host(tmp_path) as fw:
        async with fw.acquire("kill.file", name="first"):
            before = descriptors()
        for _ in range(times // 20):
            cancelled += await cancel_twenty(fw, rng)
        gc.collect()
        while any(lease.resource is None or lease.resource.is_allocated() for lease in fw.ledger.leases()):
            await asyncio.sleep(0)  # what nobody took is given back by the loop
        while fw.ledger.leases():
            await asyncio.sleep(0)
        assert descriptors() == before
        assert list(files.iterdir()) == []
        statistics = fw.statistics()
    assert cancelled > times // 10
    assert statistics.acquired == statistics.released
    own = Journal.existing()
    assert own is not None
    assert own.content() == own._header


@pytest.mark.parametrize("times", each(faults.MANY_LEASES))
async def test_many_leases_leave_the_process_as_it_was(tmp_path: Path, times: int) -> None:
    async with host(tmp_path) as fw:
        sizes, blocks, moments = [], [], []
        for number in range(times):
            async with fw.acquire("test.noted"):
                pass
            if number % (times // 20) == 0:
                own = Journal.existing()
                assert own is not None
                sizes.append(os.path.getsize(own.path))
                gc.collect()
                blocks.append(sys.getallocatedblocks())
                moments.append(time.perf_counter())
        steps = [later - sooner for sooner, later in itertools.pairwise(moments)]
        print("microseconds for each lease, by twentieths:", [round(step / (times // 20) * 1e6, 1) for step in steps])
        assert max(sizes) <= 2 << 20
        assert max(blocks[2:]) - blocks[1] < 1000
        assert fw.statistics().held == 0
