from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from framework import Framework
from plugin_memory import shm

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


async def test_a_second_host_attaches_by_name_and_reads_what_was_written(unique: str, run: Script) -> None:
    async with Framework.from_config({"plugins": {"memory": {}}}) as fw:
        async with fw.acquire("memory.shared", name=unique, size=100, owner="writer") as memory:
            memory.buffer[:5] = b"hello"
            found = run(
                """
                from framework import Framework
                async def main():
                    async with Framework.from_config({"plugins": {"memory": {}}}) as fw:
                        async with fw.acquire("memory.attached", name=sys.argv[1]) as memory:
                            report(text=bytes(memory.buffer[:5]).decode(), held=fw.statistics().held_bytes)
                asyncio.run(main())
                """,
                unique,
            )
            assert found == {"text": "hello", "held": 0}
            assert os.path.exists(f"/dev/shm/{memory.segment}")
            assert fw.statistics().held_bytes == 100
            assert (await fw.measurements())["memory"]["framework_memory_shared_bytes"] == 100
        assert fw.leases() == ()


async def test_an_acquisition_that_times_out_leaves_nothing(unique: str) -> None:
    async with Framework.from_config({"plugins": {"memory": {"activation": "startup"}}}) as fw:
        with anyio.move_on_after(0) as scope:
            await fw.acquire("memory.shared", name=unique, size=3 * (16 << 20))
        assert scope.cancelled_caught
        assert not os.path.exists(f"/dev/shm/{shm.segment_name(unique)}")
        assert fw.leases() == ()
        assert (await fw.measurements())["memory"]["framework_memory_shared_bytes"] == 0
