from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from framework import Framework
from framework.errors import PolicyError

pytestmark = pytest.mark.anyio


async def test_a_host_lends_confines_and_counts(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    async with Framework.from_config({"plugins": {"file": {"roots": [str(inside)], "max_bytes": 1000}}}) as fw:
        await fw.acquire("file.local", path=str(inside / "a"), size=10, persistent=True)
        async with fw.acquire("file.temp", directory=str(inside), size=20) as file:
            assert (await fw.measurements())["file"]["framework_file_temp_bytes"] == 20
            await file.keep_as(inside / "b")
        await fw.acquire("file.local", path=str(inside / "c"))
        with pytest.raises(PolicyError):
            await fw.acquire("file.local", path=str(tmp_path / "d"))
    assert sorted(os.listdir(inside)) == ["a", "b"]


async def test_an_acquisition_that_times_out_leaves_nothing(tmp_path: Path) -> None:
    async with Framework.from_config({"plugins": {"file": {}}}) as fw:
        with anyio.move_on_after(0) as scope:
            await fw.acquire("file.temp", size=3 * (16 << 20), directory=str(tmp_path))
        assert scope.cancelled_caught
        assert os.listdir(tmp_path) == []
        assert fw.leases() == ()
