"""Starting `true` and waiting for its end, through a lease and without.

    python tests/benchmarks/processes.py [--rounds 30]

A lease of `process.local` through a host, with output captured and discarded, and with limits, and through a
`ResourceManager`, which waits for a loop in another thread, against `subprocess.Popen(["true"]).wait()` and
`asyncio.create_subprocess_exec("true")`. The variants take turns within each round; figures are the minimum over rounds
of the mean over a batch.
"""

import argparse
import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

from framework import Framework, ResourceManager

BATCH = 20


async def popen() -> None:
    """The primitive."""
    subprocess.Popen(["true"]).wait()


async def popen_alike() -> None:
    """The primitive with what a lease asks for too: a session, variables, and three pipes or devices."""
    with subprocess.Popen(
        ["true"],
        env=dict(os.environb),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as child:
        child.wait()


async def asyncio_exec() -> None:
    """The standard library's own way on an event loop."""
    child = await asyncio.create_subprocess_exec("true")
    await child.wait()


async def _timed(call: Callable[[], Awaitable[None]]) -> float:
    start = time.perf_counter()
    for _ in range(BATCH):
        await call()
    return (time.perf_counter() - start) / BATCH


async def measure(rounds: int) -> dict[str, float]:
    """Return seconds for one child by variant."""
    config = {"plugins": {"process": {}}, "resource_management": {"monitoring_enabled": False}}
    async with Framework.from_config(config) as host:
        manager = ResourceManager(config)

        def lease(**parameters: Any) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                async with host.acquire("process.local", command="true", **parameters) as child:
                    await child.wait()

            return run

        async def synchronous() -> None:
            with manager.acquire("process.local", command="true") as child:
                child.wait()

        variants: dict[str, Callable[[], Awaitable[None]]] = {
            "subprocess.Popen": popen,
            "Popen, session, variables, pipes": popen_alike,
            "asyncio.create_subprocess_exec": asyncio_exec,
            "lease": lease(),
            "lease, ResourceManager": synchronous,
            "lease, output discarded": lease(stdout="discard", stderr="discard"),
            "lease, files=32": lease(files=32),
            "lease, max_memory": lease(max_memory=64 << 20),
        }
        best = dict.fromkeys(variants, float("inf"))
        for _ in range(rounds):
            for name, call in variants.items():
                best[name] = min(best[name], await _timed(call))
        manager.close()
    return best


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    best = asyncio.run(measure(parser.parse_args().rounds))
    primitive, peer = best["subprocess.Popen"], best["asyncio.create_subprocess_exec"]
    for name, seconds in best.items():
        print(
            f"{name:34} {seconds * 1e6:9.1f} us  {seconds / primitive:5.2f} x Popen"
            f"  {seconds / peer:5.2f} x create_subprocess_exec"
        )


if __name__ == "__main__":
    main()
