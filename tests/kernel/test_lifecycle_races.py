"""Whoever enables, disables, reloads and closes at the same time: each plugin is started and stopped once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from framework import Framework, Plugin, PluginState
from framework.errors import PluginError
from framework.records import PluginMetadata, PluginType
from framework.settings import Settings

pytestmark = pytest.mark.anyio

Install = Callable[..., Path]


class Gated(Plugin):
    """Says when its `initialize` or `cleanup` was entered, and stays there until it is let through."""

    def __init__(self, name: str, *needs: str) -> None:
        self._metadata = PluginMetadata(name, "1.0", "", "", list(needs), PluginType.MONITOR, "tests:Gated")  # type: ignore[misc]  # each object has its own
        self.log: list[str] = []
        self.starting, self.start, self.stopping, self.stop = (anyio.Event() for _ in range(4))

    async def initialize(self) -> None:
        self.log.append("initialize")
        self.starting.set()
        await self.start.wait()

    async def cleanup(self) -> None:
        self.log.append("cleanup")
        self.stopping.set()
        await self.stop.wait()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def host(*plugins: Plugin, off: tuple[str, ...] = (), on: tuple[str, ...] = ()) -> Framework:
    sections: dict[str, Any] = {name: {"enabled": False} for name in off} | {name: {} for name in on}
    return Framework(Settings.load({"plugins": sections}, environ={}), plugins=plugins)


def state(fw: Framework, name: str) -> PluginState:
    return fw.plugins.record(name).state


async def begun(call: Any) -> asyncio.Task[Any]:
    """Return a task that came as far as it comes by itself."""
    task: asyncio.Task[Any] = asyncio.ensure_future(call)
    for _ in range(50):
        await asyncio.sleep(0)
    return task


async def test_enabling_another_does_not_start_who_is_just_starting_a_second_time() -> None:
    one, other = Gated("one"), Gated("other")
    for each in (one, other):
        each.stop.set()
    async with host(one, other, off=("one", "other")) as fw:
        first = asyncio.ensure_future(fw.enable("one"))
        await one.starting.wait()
        second = await begun(fw.enable("other"))
        one.start.set()
        other.start.set()
        await asyncio.gather(first, second)
        assert (state(fw, "one"), state(fw, "other")) == (PluginState.ACTIVE, PluginState.ACTIVE)
    assert (one.log, other.log) == (["initialize", "cleanup"], ["initialize", "cleanup"])


async def test_who_disables_a_plugin_that_is_just_starting_has_it_stopped() -> None:
    one = Gated("one")
    one.stop.set()
    async with host(one, off=("one",)) as fw:
        enabling = asyncio.ensure_future(fw.enable("one"))
        await one.starting.wait()
        disabling = await begun(fw.disable("one"))
        one.start.set()
        await enabling
        assert await disabling == ["one"]
        assert state(fw, "one") is PluginState.STOPPED
    assert one.log == ["initialize", "cleanup"]


async def test_a_plugin_that_just_starts_on_first_use_is_stopped_by_who_disables_what_it_needs() -> None:
    base, top = Gated("base"), Gated("top", "base")
    base.start.set()
    for each in (base, top):
        each.stop.set()
    async with host(base, off=("base",)) as fw:
        await fw.enable("base")
        fw.plugins.register_plugin(top)
        enabling = asyncio.ensure_future(fw.enable("top"))
        await top.starting.wait()
        disabling = await begun(fw.disable("base"))
        top.start.set()
        await enabling
        assert await disabling == ["top", "base"]
    assert top.log == base.log == ["initialize", "cleanup"]


async def test_who_enables_a_plugin_that_is_just_stopping_has_it_started_again(site: Path, install: Install) -> None:
    gated = (
        "import anyio\nfrom framework import Plugin\nLOG, STOPPING, STOP = [], anyio.Event(), anyio.Event()\n"
        "class Sample(Plugin):\n"
        "    async def initialize(self):\n        LOG.append('initialize')\n"
        "    async def cleanup(self):\n        LOG.append('cleanup'); STOPPING.set(); await STOP.wait()\n"
    )
    install(site, "one", gated)
    async with host(on=("one",)) as fw:
        module = sys.modules["plugin_one"]
        disabling = asyncio.ensure_future(fw.disable("one"))
        await module.STOPPING.wait()
        enabling = await begun(fw.enable("one"))
        module.STOP.set()
        await asyncio.gather(disabling, enabling)
        assert state(fw, "one") is PluginState.ACTIVE
    assert module.LOG == ["initialize", "cleanup", "initialize", "cleanup"]


async def test_a_disabling_that_is_cancelled_is_finished_all_the_same() -> None:
    base, top = Gated("base"), Gated("top", "base")
    for each in (base, top):
        each.start.set()
    async with host(base, top) as fw:
        disabling = asyncio.ensure_future(fw.disable("base"))
        await top.stopping.wait()
        disabling.cancel()
        top.stop.set()
        base.stop.set()
        with pytest.raises(asyncio.CancelledError):
            await disabling
        assert (state(fw, "base"), state(fw, "top")) == (PluginState.STOPPED, PluginState.STOPPED)
    assert base.log == top.log == ["initialize", "cleanup"]


async def test_closing_waits_for_who_is_just_starting_and_nothing_starts_afterwards(
    site: Path, install: Install
) -> None:
    install(site, "late", extra='activation = "use"\n[provides]\nservices = ["late.service"]')
    one = Gated("one")
    one.stop.set()
    fw = host(one, off=("one",), on=("late",))
    async with fw:
        enabling = asyncio.ensure_future(fw.enable("one"))
        await one.starting.wait()
        closing = await begun(fw.close())
        one.start.set()
        await asyncio.gather(enabling, closing, return_exceptions=True)
    assert one.log == ["initialize", "cleanup"]
    for call in (fw.enable("one"), fw.reload("late"), fw.activate("late"), fw.service("late.service")):
        with pytest.raises(PluginError, match="the host is closed"):
            await call
    assert "plugin_late" not in sys.modules


async def test_a_plugin_that_closes_its_own_host_is_not_left_running() -> None:
    class Closing(Gated):
        async def initialize(self) -> None:
            await super().initialize()
            await fw.close()

    one = Closing("one")
    one.start.set()
    one.stop.set()
    settings = {"plugins": {"one": {"enabled": False}}, "timeouts": {"start": 0.1}}
    fw = Framework(Settings.load(settings, environ={}), plugins=[one])
    async with fw:
        with pytest.raises(PluginError):
            await fw.enable("one")
        assert state(fw, "one") is PluginState.FAILED


async def test_of_two_who_reload_a_plugin_each_has_it_running_afterwards(site: Path, install: Install) -> None:
    install(site, "base")
    install(site, "top", extra='requires = ["base"]')
    async with host(on=("base", "top")) as fw:
        await asyncio.gather(fw.reload("base"), fw.reload("base"))
        assert (state(fw, "base"), state(fw, "top")) == (PluginState.ACTIVE, PluginState.ACTIVE)


async def test_a_plugin_object_that_was_never_started_can_be_switched_on_and_off() -> None:
    one, other = Gated("one", "absent"), Gated("other")
    other.start.set()
    other.stop.set()
    async with host(one, other, off=("other",)) as fw:
        assert await fw.disable("one") == []
        await fw.enable("other")
        assert await fw.disable("other") == ["other"]
        with pytest.raises(PluginError, match="absent"):
            await fw.enable("one")
        assert state(fw, "one") is PluginState.BLOCKED


async def test_a_clean_up_that_fails_does_not_keep_a_plugin_from_being_reloaded(site: Path, install: Install) -> None:
    sour = "from framework import Plugin\nclass Sample(Plugin):\n    async def cleanup(self): raise OSError('x')\n"
    install(site, "base", sour)
    install(site, "top", extra='requires = ["base"]')
    async with host(on=("base", "top")) as fw:
        with pytest.raises(ExceptionGroup, match="before it was started anew"):
            await fw.reload("base")
        assert (state(fw, "base"), state(fw, "top")) == (PluginState.ACTIVE, PluginState.ACTIVE)
        (site / "plugin_base" / "__init__.py").write_text("from framework import Plugin\nclass Sample(Plugin): pass\n")
        with pytest.raises(ExceptionGroup):
            await fw.reload("base")


async def test_an_object_of_the_application_is_not_stopped_by_who_wants_to_reload_it() -> None:
    one = Gated("one")
    one.start.set()
    one.stop.set()
    async with host(one) as fw:
        with pytest.raises(PluginError, match="cannot be read anew"):
            await fw.reload("one")
        assert state(fw, "one") is PluginState.ACTIVE


async def test_a_plugin_without_manifest_that_is_enabled_later_is_held_to_what_its_decorator_says(
    tmp_path: Path,
) -> None:
    decorated = (
        "from framework import Plugin, PluginType, plugin\n"
        "@plugin('late', '1.0', 'x', 'x', PluginType.MONITOR, ['absent'])\n"
        "class Sample(Plugin): pass\n"
    )
    (tmp_path / "plugin_late.py").write_text(decorated)
    settings = {"plugins": {}, "plugin_folders": [str(tmp_path)]}
    async with Framework(Settings.load(settings, environ={})) as fw:
        with pytest.raises(PluginError, match="absent"):
            await fw.enable("late")
        assert state(fw, "late") is PluginState.BLOCKED
    sys.modules.pop("plugin_late", None)


async def test_reloading_leaves_the_packages_around_the_plugin_alone(site: Path, install: Install) -> None:
    package = site / "house_of_plugins"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "plugin.py").write_text(
        "from framework import Plugin, PluginType, plugin\n"
        "@plugin('inner', '1.0', 'x', 'x', PluginType.MONITOR)\nclass Sample(Plugin): pass\n"
    )
    info = site / "house-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[framework.plugins]\ninner = house_of_plugins.inner.plugin:Sample\n")
    async with host(on=("inner",)) as fw:
        outer, inner = sys.modules["house_of_plugins"], sys.modules["house_of_plugins.inner.plugin"]
        await fw.reload("inner")
        assert sys.modules["house_of_plugins"] is outer
        assert sys.modules["house_of_plugins.inner.plugin"] is not inner
    for name in [one for one in sys.modules if one.startswith("house_of_plugins")]:
        del sys.modules[name]


async def test_what_stays_blocked_is_logged_once(
    site: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "base")
    install(site, "other")
    install(site, "top", extra='requires = ["base"]')
    async with host(on=("base", "top"), off=("other",)) as fw:
        await fw.disable("base")
        await fw.enable("other")
        await fw.disable("other")
        assert caplog.text.count("plugin_blocked plugin=top") == 1
        await fw.reload("base")
        assert caplog.text.count("plugin_blocked plugin=top") == 1
