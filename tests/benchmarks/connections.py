"""TCP through a lease against asyncio's own connections.

    python tests/benchmarks/connections.py [--rounds 15] [--batch 200]

Each variant opens a connection to a server in another process, sends 64 bytes, receives them again, and closes: with
`asyncio.open_connection`, with `network.tcp` of a provider and of a host, and with blocking sockets as the floor. Then
the same with a connection that is lent again, against a new one. The variants take turns within each round; figures are
the minimum over rounds of the mean over a batch.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from framework import Framework

MESSAGE = bytes(64)


def serve(ready: Any) -> None:
    """Echo for one client at a time, for ever."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    ready.send(listener.getsockname()[1])
    while True:
        accepted, _ = listener.accept()
        with accepted, contextlib.suppress(ConnectionError):
            while data := accepted.recv(4096):
                accepted.sendall(data)


def blocking(port: int) -> None:
    """Use sockets without any loop."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(MESSAGE)
        sock.recv(4096)


async def streams(port: int) -> None:
    """Use asyncio's streams."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(MESSAGE)
    await reader.readexactly(len(MESSAGE))
    writer.close()
    await writer.wait_closed()


async def measure(rounds: int, batch: int, port: int) -> dict[str, float]:
    """Return seconds for one conversation by variant."""
    async with Framework.from_config({"plugins": {"network": {}}}) as host:

        async def lease(**more: Any) -> None:
            async with host.acquire("network.tcp", host="127.0.0.1", port=port, **more) as connection:
                await connection.send(MESSAGE)
                await connection.receive_exactly(len(MESSAGE))

        async def raw() -> None:
            blocking(port)

        variants: dict[str, Callable[[], Awaitable[None]]] = {
            "asyncio.open_connection": lambda: streams(port),
            "network.tcp": lease,
            "blocking sockets": raw,
        }
        best = dict.fromkeys(variants, float("inf"))
        for _ in range(rounds):
            for name, call in variants.items():
                best[name] = min(best[name], await _timed(batch, call))
        # the server takes one client at a time, so nothing may be idle while the others are measured
        best["network.tcp, lent again"] = min([await _timed(batch, lambda: lease(reuse=True)) for _ in range(rounds)])
        return best


async def _timed(batch: int, call: Callable[[], Awaitable[None]]) -> float:
    await call()
    start = time.perf_counter()
    for _ in range(batch):
        await call()
    return (time.perf_counter() - start) / batch


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=200)
    arguments = parser.parse_args()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sender,), daemon=True)
    server.start()
    try:
        best = asyncio.run(measure(arguments.rounds, arguments.batch, receiver.recv()))
    finally:
        server.terminate()
        server.join()
    for name, seconds in best.items():
        print(f"{name:26} {seconds * 1e6:8.1f} us  {seconds / best['asyncio.open_connection']:5.2f} x open_connection")


if __name__ == "__main__":
    main()
