"""What plugin authors extend: the class, the decorator, the context manager."""

from __future__ import annotations

import pytest

from framework import Plugin, PluginContextManager, PluginMetadata, PluginType, plugin
from framework.errors import PluginError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@plugin(name="one", version="1.2", description="d", author="a", plugin_type=PluginType.STORAGE, dependencies=["x>=1"])
class One(Plugin):
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def initialize(self) -> None:
        self.calls.append("up")

    async def cleanup(self) -> None:
        self.calls.append("down")


def test_the_decorator_is_the_metadata() -> None:
    entry_point = f"{One.__module__}.One"
    assert One().metadata == PluginMetadata("one", "1.2", "d", "a", ["x>=1"], PluginType.STORAGE, entry_point)


def test_a_type_may_be_said_by_its_word_and_another_word_is_refused() -> None:
    @plugin("two", "1", "d", "a", "provider")
    class Two(Plugin):
        pass

    assert Two().metadata.plugin_type is PluginType.PROVIDER

    said = r"'two' has the plugin_type 'providers'; allowed: provider, processor.*Did you mean 'provider'"
    with pytest.raises(PluginError, match=said) as refused:
        plugin("two", "1", "d", "a", "providers")
    assert refused.value.plugin == "two"


def test_a_class_that_says_nothing_of_itself_is_told_both_ways() -> None:
    class Silent(Plugin):
        pass

    with pytest.raises(PluginError, match=r"Silent has no metadata\. Decorate it with @plugin.*plugin\.toml"):
        _ = Silent().metadata


async def test_nothing_has_to_be_overridden() -> None:
    bare = Plugin()
    await bare.initialize()
    await bare.cleanup()
    assert bare.settings is None


async def test_the_context_manager_cleans_up_whatever_the_body_does() -> None:
    one = One()

    async def use() -> None:
        async with PluginContextManager(one) as entered:
            assert entered is one
            raise OSError("body")

    with pytest.raises(OSError, match="body"):
        await use()
    assert one.calls == ["up", "down"]


async def test_what_could_not_initialize_is_not_cleaned_up() -> None:
    class Fails(One):
        async def initialize(self) -> None:
            raise OSError("no")

    fails = Fails()
    with pytest.raises(OSError, match="no"):
        await PluginContextManager(fails).__aenter__()
    assert fails.calls == []
