"""Never run, only type-checked: what applications and plugin authors write must pass strict checking as it stands."""

from typing import assert_type

from framework import (
    Framework,
    LeaseRecord,
    Plugin,
    PluginManager,
    PluginType,
    Resource,
    ResourceProvider,
    ResourceStatus,
    creates,
    hookimpl,
    plugin,
)
from framework.records import KindRecord


class Thing(Resource):
    """A resource."""

    async def _close(self) -> None:
        return None


class ThingProvider(ResourceProvider):
    """A provider: `creates` keeps the method's signature."""

    @creates("thing.small")
    async def create_thing(self, name: str, size: int = 0) -> Thing:
        """A thing."""
        return Thing()


@plugin(name="thing", version="1", description="", author="", plugin_type=PluginType.PROVIDER)
class ThingPlugin(Plugin):
    """A plugin: the decorator keeps the class."""

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Register."""
        return [ThingProvider()]


async def use() -> None:
    """Use all of it."""
    provider = ThingProvider()
    async with await provider.create_thing("a", size=3) as thing:
        assert_type(thing, Thing)
        assert_type(thing.status, ResourceStatus)
    manager = PluginManager()
    manager.register_plugin(ThingPlugin())
    assert_type(manager.get_plugins_by_type(PluginType.PROVIDER), list[Plugin])
    async with Framework.from_config({"plugins": {}}, plugins=[ThingPlugin()]) as fw:
        async with fw.acquire("thing.small", size=3) as held:
            print(held.name)
        assert_type(fw.leases(), tuple[LeaseRecord, ...])
        assert_type(fw.kinds(), tuple[KindRecord, ...])
