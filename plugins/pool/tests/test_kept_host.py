"""The pool of a host that is kept: settings, configured entities, and the plugins that own what was held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from framework import Framework, Plugin, PluginType, hookimpl, plugin
from framework.errors import PluginError
from plugin_pool import ResourcePool
from plugin_pool.keeping.kept import KeptPool
from plugin_pool.keeping.session import Session
from plugin_pool.settings import PoolSettings

ENTITIES = [{"id": "e1", "type": "executor", "capabilities": {"x": 8}}, {"id": "e2", "type": "executor"}]


class OwnerPlugin(Plugin):
    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    @hookimpl(optionalhook=True)
    def pool_owner_alive(self, task_id: str, resources: Sequence[str]) -> Any:
        self.asked.append((task_id, tuple(resources)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def owner(number: int, answer: object) -> OwnerPlugin:
    kind: Any = type("Owner", (OwnerPlugin,), {})
    found = plugin(f"owner{number}", "1", "Owns tasks.", "Somebody", PluginType.PROCESSOR)(kind)(answer)
    assert isinstance(found, OwnerPlugin)
    return found


def host(path: Path, *plugins: Plugin, **settings: Any) -> Framework:
    return Framework.from_config({"plugins": {"pool": {"state": str(path), **settings}}}, plugins=list(plugins))


async def pool_of(framework: Framework) -> KeptPool:
    found = await framework.service("pool")
    assert isinstance(found, KeptPool)
    return found


def test_an_empty_path_is_refused_with_the_settings() -> None:
    with pytest.raises(ValidationError, match="at least 1 character"):
        PoolSettings(state="")


async def test_the_service_is_kept(tmp_path: Path) -> None:
    async with host(tmp_path / "pool", resources=ENTITIES, durability="fsync") as framework:
        pool = await pool_of(framework)
        assert pool.persistence.durability == "fsync"
        pool.add_resource({"id": "by program", "type": "tool"})
        pool.allocate_resources("task", {"type": "executor", "capabilities": {"x": 1}})
    async with host(tmp_path / "pool", resources=ENTITIES) as framework:
        pool = await pool_of(framework)
        assert pool.persistence.durability == "buffered"
        assert pool.get_resource("e1").tasks == ("task",)
        assert pool.get_status_report().total_resources == 3


async def test_configured_entities_are_merged(tmp_path: Path) -> None:
    async with host(tmp_path, resources=ENTITIES) as framework:
        pool = await pool_of(framework)
        pool.add_resource({"id": "mine", "type": "tool"})
        pool.quarantine_resource("e1")
    changed = [{"id": "e1", "type": "executor", "capabilities": {"x": 9}}, {"id": "e3", "type": "executor"}]
    async with host(tmp_path, resources=changed) as framework:
        pool = await pool_of(framework)
        found = {one: pool.find_resource(one) for one in ("e1", "e2", "e3", "mine")}
        assert {name: one is not None for name, one in found.items()} == {
            "e1": True,
            "e2": False,
            "e3": True,
            "mine": True,
        }
        assert found["e1"] is not None
        assert found["e1"].capabilities[0].level == 9
        assert found["e1"].status.value == "error"


async def test_what_is_held_changes_only_when_it_is_not_any_more(tmp_path: Path) -> None:
    async with host(tmp_path, resources=ENTITIES, grace=None) as framework:
        assert (await pool_of(framework)).allocate_resources("task", {"type": "executor", "count": 2})
    changed = [{"id": "e1", "type": "executor", "capabilities": {"x": 9}}]
    async with host(tmp_path, resources=changed, grace=None) as framework:
        pool = await pool_of(framework)
        assert pool.get_resource("e1").capabilities[0].level == 8
        assert pool.get_resource("e2").draining
        pool.release_resources("task")
    async with host(tmp_path, resources=changed, grace=None) as framework:
        pool = await pool_of(framework)
        assert pool.get_resource("e1").capabilities[0].level == 9
        assert pool.find_resource("e2") is None


async def test_an_entity_that_is_listed_twice_is_refused_and_the_directory_is_let_go(tmp_path: Path) -> None:
    async with host(tmp_path, resources=[ENTITIES[0], ENTITIES[0]]) as framework:
        with pytest.raises(PluginError, match="has a resource 'e1' already"):
            await framework.service("pool")
        ResourcePool.open(tmp_path).close()


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([None], "released"),
        ([True], "kept"),
        ([False], "released"),
        ([False, True], "kept"),
        ([RuntimeError("no idea"), True], "kept"),
    ],
)
async def test_plugins_are_asked_whose_it_is(
    tmp_path: Path, answers: list[object], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host(tmp_path, resources=ENTITIES) as framework:
        (await pool_of(framework)).allocate_resources("task", {"type": "executor", "capabilities": {"x": 1}})
    monkeypatch.setattr(Session, "alive", False)  # as it is of another process
    owners = [owner(number, one) for number, one in enumerate(answers)]
    async with host(tmp_path, *owners, resources=ENTITIES, grace=0) as framework:
        pool = await pool_of(framework)
        assert owners[0].asked[0] == ("task", ("e1",))
        pool.sweep()
        assert (pool.get_allocation("task") is not None) == (status == "kept")
        assert pool.get_resource("e1").status.value == (
            "deployed" if status == "kept" else "available" if False in answers else "error"
        )


async def test_a_second_host_is_refused(tmp_path: Path) -> None:
    async with host(tmp_path) as first, host(tmp_path) as second:
        await first.service("pool")
        with pytest.raises(PluginError, match="is open in this process already"):
            await second.service("pool")
