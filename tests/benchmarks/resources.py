"""Acquiring and giving back through the host against the raw primitive.

    python tests/benchmarks/resources.py [--rounds 15]

- `memory.shared` of 1 MiB, with a name and without, against shm_open + posix_fallocate + mmap + munmap + shm_unlink,
  and without the fallocate.
- `file.temp`, with a name and without, writing 200 bytes, against open + write + unlink.
- `memory.buffer` of 4 KiB against a lease of nothing, which is the kernel's own share, and against anonymous `mmap`.

The journal is kept as always, in a folder of its own. The variants take turns within each round; figures are the
minimum over rounds of the mean over a batch.
"""

import _posixshmem  # type: ignore[import-not-found]  # a C module of the standard library without stubs
import argparse
import asyncio
import mmap
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from framework import Framework, Plugin, Resource, ResourceProvider, creates, hookimpl, plugin
from framework.records import PluginType

SIZE = 1 << 20
CONTENT = b"x" * 200
RATIOS = {
    "memory.shared, named": ("raw shm, reserved", "raw shm"),
    "memory.shared, nameless": ("raw shm, reserved", "raw shm"),
    "file.temp, named": ("raw file",),
    "file.temp, nameless": ("raw file",),
    "memory.buffer": ("raw anonymous mmap", "lease of nothing"),
}

Call = Callable[[], Awaitable[None]]


class Nothing(Resource):
    """What a lease costs by itself."""

    def _close(self) -> None:
        pass


class NothingProvider(ResourceProvider):
    """Lends it."""

    @creates("bench.nothing")
    async def create_nothing(self, name: str, size: int = 0) -> Nothing:
        """Nothing at all."""
        return Nothing()


@plugin(
    name="bench",
    version="1.0.0",
    description="Lends nothing.",
    author="The framework authors",
    plugin_type=PluginType.PROVIDER,
)
class BenchPlugin(Plugin):
    """Provides the lease of nothing."""

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return its provider."""
        return [NothingProvider()]


def raw_memory(*, reserve: bool) -> None:
    """Create, map, unmap and remove a segment."""
    name = f"/raw-{os.getpid()}"
    descriptor = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
    try:
        if reserve:
            os.posix_fallocate(descriptor, 0, SIZE)
        else:
            os.ftruncate(descriptor, SIZE)
        mmap.mmap(descriptor, SIZE).close()
    finally:
        os.close(descriptor)
        _posixshmem.shm_unlink(name)


def raw_file(folder: str) -> None:
    """Create a file, write to it, and remove it."""
    path = f"{folder}/raw"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, CONTENT)
    finally:
        os.close(descriptor)
        os.unlink(path)


async def _timed(batch: int, call: Call) -> float:
    start = time.perf_counter()
    for _ in range(batch):
        await call()
    return (time.perf_counter() - start) / batch


def variants(host: Framework, folder: str) -> dict[str, tuple[int, Call]]:
    """Return what is compared: how often it is done in a row, and what it is."""

    async def raw(call: Callable[[], object]) -> None:
        call()

    async def hold(kind: str, **parameters: Any) -> None:
        async with host.acquire(kind, **parameters):
            pass

    async def temp(*, named: bool) -> None:
        async with host.acquire("file.temp", directory=folder) as file:
            os.write(file.fd, CONTENT)
            assert not named or file.path

    return {
        "raw shm": (200, lambda: raw(lambda: raw_memory(reserve=False))),
        "raw shm, reserved": (200, lambda: raw(lambda: raw_memory(reserve=True))),
        "memory.shared, named": (200, lambda: hold("memory.shared", name="bench", size=SIZE)),
        "memory.shared, nameless": (200, lambda: hold("memory.shared", size=SIZE)),
        "raw file": (500, lambda: raw(lambda: raw_file(folder))),
        "file.temp, named": (500, lambda: temp(named=True)),
        "file.temp, nameless": (500, lambda: temp(named=False)),
        "raw anonymous mmap": (1000, lambda: raw(lambda: mmap.mmap(-1, 4096).close())),
        "lease of nothing": (1000, lambda: hold("bench.nothing", size=4096)),
        "memory.buffer": (1000, lambda: hold("memory.buffer", size=4096)),
    }


async def measure(rounds: int, folder: str) -> dict[str, float]:
    """Return seconds for one acquire and release by variant."""
    configuration: dict[str, Any] = {"plugins": {"memory": {}, "file": {}}}
    async with Framework.from_config(configuration, plugins=[BenchPlugin()]) as host:
        compared = variants(host, folder)
        best = dict.fromkeys(compared, float("inf"))
        for _ in range(rounds):
            for name, (batch, call) in compared.items():
                best[name] = min(best[name], await _timed(batch, call))
    return best


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        best = asyncio.run(measure(rounds, folder))
    for name, seconds in best.items():
        ratios = "".join(f"  {seconds / best[base]:5.2f} x {base}" for base in RATIOS.get(name, ()))
        print(f"{name:24} {seconds * 1e6:9.1f} us{ratios}")


if __name__ == "__main__":
    main()
