"""The pool as a service of a host."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Framework, Plugin, PluginType, ResourceClass, hookimpl, plugin
from framework.errors import PluginError, SettingsError
from plugin_pool import ResourcePool, StatusReport

CONFIGURED = [
    {"id": "executor-1", "type": "executor", "capabilities": {"web_search": 8}},
    {"id": "executor-2", "type": "executor", "capabilities": {"web_search": 3}},
]


class Dearest:
    name = "dearest"

    def rank(self, resource_class: ResourceClass) -> float:
        return -float(sum(resource_class.capabilities.values()))


@plugin("strange", "1", "Registers a strategy.", "Somebody", PluginType.PROCESSOR)
class StrangePlugin(Plugin):
    @hookimpl
    def register_allocation_strategies(self) -> list[Dearest]:
        return [Dearest()]


def host(**settings: Any) -> Framework:
    return Framework.from_config({"plugins": {"pool": settings}}, plugins=[StrangePlugin()])


async def pool_of(framework: Framework) -> ResourcePool:
    found = await framework.service("pool")
    assert isinstance(found, ResourcePool)
    return found


async def test_the_service_has_the_entities_of_the_configuration() -> None:
    async with host(resources=CONFIGURED) as framework:
        pool = await pool_of(framework)
        assert pool.get_status_report() == StatusReport(2, available=2)
        assert await framework.service("pool") is pool
        pool.allocate_resources("task", {"type": "executor"})
        metrics = await framework.update_metrics()
        assert metrics["framework_pool_total_resources"] == 2
        assert metrics["framework_pool_deployed"] == 1


@pytest.mark.parametrize(("strategy", "first"), [("best_fit", "executor-2"), ("dearest", "executor-1")])
async def test_a_strategy_of_a_stranger_is_used_by_its_name(strategy: str, first: str) -> None:
    async with host(resources=CONFIGURED, strategy=strategy) as framework:
        found = (await pool_of(framework)).allocate_resources("task", {"type": "executor"})
        assert found.allocated_resources == (first,)


async def test_a_strategy_that_nobody_registers_is_named_with_the_nearest() -> None:
    async with host(resources=CONFIGURED, strategy="dearst") as framework:
        pool = await pool_of(framework)
        with pytest.raises(SettingsError, match=r"'dearst'.*Did you mean 'dearest'"):
            pool.allocate_resources("task", {"type": "executor"})


async def test_a_wrong_entity_in_the_configuration_is_named() -> None:
    async with host(resources=[{"id": "e", "type": "executor", "capabilities": {"web_search": 11}}]) as framework:
        with pytest.raises(PluginError, match="'web_search' of resource 'e' is 11"):
            await framework.service("pool")


async def test_the_configuration_decides_who_repairs() -> None:
    async with host(resources=CONFIGURED, error_after=[]) as framework:
        pool = await pool_of(framework)
        pool.allocate_resources("task", {"type": "executor"})
        pool.release_resources("task", "failed")
        assert pool.get_status_report().error == 0
