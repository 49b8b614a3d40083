"""What a lease costs: in the ledger, in the journal, in memory, and when its owner has died.

    python tests/benchmarks/leases.py [--rounds 15]

A record of the journal against an `os.write` of as many bytes; a lease of nothing through a provider and through the
host against calling the same method bare; giving back what dead owners had left, for each owner and for each record.
The variants take turns within each round; figures are the minimum over rounds of the mean over a batch, and for records
the median over all.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

from framework import (
    Framework,
    Plugin,
    PluginType,
    Recovery,
    Resource,
    ResourceProvider,
    creates,
    hookimpl,
    plugin,
    recovery,
)
from framework import journal as journals
from framework.identity import Owner
from framework.journal import Journal, Target
from framework.journal import format as records
from framework.lease import Lease
from framework.ledger import Ledger

BATCH = 500


class Nothing(Resource):
    """Holds nothing."""

    def _close(self) -> None:
        """Nothing to give back."""


class Provider(ResourceProvider):
    """Provides nothing, and notes it or not."""

    @creates("bench.nothing")
    async def create_nothing(self, name: str, size: int = 0) -> Nothing:
        """Nothing."""
        return Nothing()

    @creates("bench.noted")
    async def create_noted(self, name: str) -> Nothing:
        """Nothing, with something to undo."""
        self.intend(Recovery.UNLINK, f"/nowhere/{self.token()}")
        return Nothing()


@plugin(name="bench", version="1", description="d", author="a", plugin_type=PluginType.PROVIDER, dependencies=[])
class Bench(Plugin):
    """Registers the provider."""

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return it."""
        return [Provider()]


async def bare() -> None:
    """Do what a provider's method does, and what a release does, without a lease."""
    Nothing()._close()


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return seconds for one call, as the mean over a batch."""
    start = time.perf_counter()
    for _ in range(BATCH):
        await call()
    return (time.perf_counter() - start) / BATCH


async def leases(rounds: int) -> dict[str, float]:
    """Return seconds for one acquire and release by variant."""
    provider = Provider(Ledger())
    await provider.initialize()
    async with Framework.from_config({"plugins": {}}, plugins=[Bench()]) as fw:

        async def through_provider() -> None:
            await (await provider.create_nothing(name="x")).release()

        async def noted() -> None:
            await (await provider.create_noted(name="x")).release()

        async def through_host() -> None:
            await (await fw.acquire("bench.nothing", name="x")).release()

        variants = {
            "bare": bare,
            "provider": through_provider,
            "provider, journalled": noted,
            "host": through_host,
        }
        best = dict.fromkeys(variants, float("inf"))
        for _ in range(rounds):
            for name, call in variants.items():
                best[name] = min(best[name], await timed(call))
    return best


def record(rounds: int, folder: str) -> tuple[float, float]:
    """Return the median of one record of an intent, and of writing as many bytes, in seconds."""
    own = Journal(folder)
    lease = Lease("bench.noted", "x", "me", 0)
    target = Target(Recovery.UNLINK, f"/nowhere/{lease.id:028x}")
    size = len(records.intent(lease, target))
    plain = os.open(os.path.join(folder, "plain"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    block, times, raw = b"x" * size, [], []
    clock = time.perf_counter_ns
    for _ in range(rounds * 200):
        own.release(lease.id)
        lease = Lease("bench.noted", "x", "me", 0)
        start = clock()
        own.intend(lease, target)
        middle = clock()
        os.write(plain, block)
        end = clock()
        times.append(middle - start)
        raw.append(end - middle)
    os.close(plain)
    own.close(remove=False)
    return statistics.median(times) / 1e9, statistics.median(raw) / 1e9


def dead(folder: str, *, owners: int, held: int, released: int) -> None:
    """Write the journals of owners that died."""
    for number in range(owners):
        owner = Owner.this(time.time())
        path = Path(folder, f"{number}-x{journals.SUFFIX}")
        parts = [records.header(owner)]
        for index in range(held + released):
            lease = Lease("bench.noted", "x", "me", 0)
            parts.append(records.intent(lease, Target(Recovery.UNLINK, f"/nowhere/{lease.id:028x}")))
            parts.append(records.record(records.HOLD, lease.id))
            if index >= held:
                parts.append(records.record(records.RELEASE, lease.id))
        path.write_bytes(b"".join(parts))
        path.chmod(0o600)


def recovered(rounds: int) -> tuple[float, float]:
    """Return seconds for each dead owner that held ten leases, and for each record of what was released."""
    by_owner = by_record = float("inf")
    for _ in range(min(rounds, 7)):
        with tempfile.TemporaryDirectory() as folder:
            dead(folder, owners=100, held=10, released=0)
            start = time.perf_counter()
            assert len(recovery.reclaim(folder)) == 1000
            by_owner = min(by_owner, (time.perf_counter() - start) / 100)
        with tempfile.TemporaryDirectory() as folder:
            dead(folder, owners=1, held=0, released=20_000)
            start = time.perf_counter()
            recovery.reclaim(folder)
            by_record = min(by_record, (time.perf_counter() - start) / 60_000)
    return by_owner, by_record


async def memory() -> tuple[float, float]:
    """Return bytes for each lease that is held, without and with the journal, the resource included."""
    provider = Provider(Ledger())
    await provider.initialize()
    sizes = []
    for create in (provider.create_nothing, provider.create_noted):
        await create(name="warm")
        tracemalloc.start()
        held = [await create(name="x") for _ in range(5000)]
        sizes.append(tracemalloc.get_traced_memory()[0] / len(held))
        tracemalloc.stop()
        for one in held:
            await one.release()
    return sizes[0], sizes[1]


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        best = asyncio.run(leases(rounds))
        for name, seconds in best.items():
            print(f"lease, {name:28} {seconds * 1e6:8.2f} us  {seconds / best['bare']:6.1f} x bare")
        written, raw = record(rounds, folder)
        print(f"record of an intent, median         {written * 1e6:8.2f} us  {written / raw:6.1f} x os.write")
        by_owner, by_record = recovered(rounds)
        print(f"recovery, dead owner of ten leases  {by_owner * 1e6:8.1f} us")
        print(f"recovery, record                    {by_record * 1e6:8.2f} us")
        plain, noted = asyncio.run(memory())
        print(f"memory of a held lease              {plain:8.0f} bytes, {noted:.0f} with the journal")


if __name__ == "__main__":
    main()
