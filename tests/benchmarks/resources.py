"""Acquiring and giving back through the host against the raw primitive.

    python tests/benchmarks/resources.py [--rounds 15]

`memory.shared` of 1 MiB against shm_open + posix_fallocate + mmap + munmap + shm_unlink, and without the fallocate. The
variants take turns within each round; figures are the minimum over rounds of the mean over a batch.
"""

import _posixshmem  # type: ignore[import-not-found]  # a C module of the standard library without stubs
import argparse
import asyncio
import mmap
import os
import time
from collections.abc import Awaitable, Callable

from framework import Framework

SIZE = 1 << 20


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


async def _timed(batch: int, call: Callable[[], Awaitable[None]]) -> float:
    start = time.perf_counter()
    for _ in range(batch):
        await call()
    return (time.perf_counter() - start) / batch


async def measure(rounds: int) -> dict[str, float]:
    """Return seconds for one acquire and release by variant."""
    async with Framework.from_config({"plugins": {"memory": {}}}) as host:

        async def memory() -> None:
            async with host.acquire("memory.shared", size=SIZE):
                pass

        async def plain() -> None:
            raw_memory(reserve=False)

        async def reserved() -> None:
            raw_memory(reserve=True)

        variants: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "raw shm_open + mmap": (200, plain),
            "raw shm_open + fallocate + mmap": (200, reserved),
            "memory.shared 1 MiB": (200, memory),
        }
        best = dict.fromkeys(variants, float("inf"))
        for _ in range(rounds):
            for name, (batch, call) in variants.items():
                best[name] = min(best[name], await _timed(batch, call))
    return best


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    best = asyncio.run(measure(parser.parse_args().rounds))
    bases = {"memory.shared 1 MiB": list(best)[:2]}
    for name, seconds in best.items():
        ratios = "".join(f"  {seconds / best[base]:5.2f} x {base}" for base in bases.get(name, ()))
        print(f"{name:34} {seconds * 1e6:9.1f} us{ratios}")


if __name__ == "__main__":
    main()
