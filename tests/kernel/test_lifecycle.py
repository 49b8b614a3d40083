"""Plugins start on first use, concurrently and within deadlines, and come and go in a running host."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from framework import Framework, MetricsManager, PluginState, lock
from framework.discovery import discover
from framework.errors import PluginError, ResourceError, SettingsError, UnknownKindError
from framework.quarantine import Quarantine
from framework.settings import Settings
from framework.testing import DummyPlugin

pytestmark = pytest.mark.anyio

Install = Callable[..., Path]

CODE = """
import os
import threading
import anyio
from framework import Plugin, Resource, ResourceProvider, creates, hookimpl
from framework.records import Health

VERSION = "{version}"
LOG = []

class Thing(Resource):
    async def _close(self):
        LOG.append("closed")

class Provider(ResourceProvider):
    @creates("{name}.kind")
    async def make(self, name: str) -> Thing:
        return Thing()

class Collector:
    name = "{name}"
    def collect(self):
        return {{"{name}_answers": 42.0}}

class Sample(Plugin):
    async def initialize(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.stop.wait, name="thread of {name}")
        self.thread.start()
        self.descriptor = os.dup(1)
        LOG.append("up")
    async def cleanup(self):
        self.stop.set()
        self.thread.join()
        os.close(self.descriptor)
        LOG.append("down")
    async def execute(self, parameters):
        return {{"sum": sum(parameters["values"])}}
    @hookimpl
    def register_resource_providers(self):
        return [Provider()]
    @hookimpl
    def register_services(self):
        return {{"{name}.service": self}}
    @hookimpl
    def register_metrics_collectors(self):
        return [Collector()]
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def code(name: str, version: str = "1.0") -> str:
    return CODE.format(name=name, version=version)


def manifest(name: str, extra: str = "") -> str:
    """Return a manifest's further lines: started on first use, unless the configuration says otherwise."""
    provides = f'[provides]\nkinds = ["{name}.kind"]\nservices = ["{name}.service"]'
    return f'activation = "use"\n{extra}\n{provides}'


def host(plugins: Mapping[str, Any], **more: Any) -> Framework:
    return Framework(Settings.load({"plugins": plugins, **more}, environ={}))


def state(fw: Framework, name: str) -> PluginState:
    return fw.plugins.record(name).state


def threads() -> set[str]:
    return {one.name for one in threading.enumerate()}


# on first use


async def test_only_what_is_used_is_imported(site: Path, install: Install) -> None:
    for name in ("one", "two"):
        install(site, name, code(name), extra=manifest(name))
    async with host({"one": None, "two": None}) as fw:
        assert {"plugin_one", "plugin_two"} & sys.modules.keys() == set()
        assert (state(fw, "one"), state(fw, "two")) == (PluginState.DISCOVERED, PluginState.DISCOVERED)
        async with fw.acquire("one.kind"):
            assert state(fw, "one") is PluginState.ACTIVE
        assert "plugin_two" not in sys.modules
        assert await fw.service("two.service") is fw.plugins.get_plugin("two")
        assert "plugin_two" in sys.modules
    assert threads() & {"thread of one", "thread of two"} == set()


async def test_what_a_plugin_needs_is_started_before_it(site: Path, install: Install) -> None:
    install(site, "base", code("base"), extra=manifest("base"))
    install(site, "top", code("top"), extra=manifest("top", 'requires = ["base.kind"]'))
    async with host({"base": None, "top": None}) as fw:
        await fw.activate("top")
        assert (state(fw, "base"), state(fw, "top")) == (PluginState.ACTIVE, PluginState.ACTIVE)


async def test_many_first_users_at_once_start_a_plugin_once(site: Path, install: Install) -> None:
    install(site, "one", code("one"), extra=manifest("one"))
    async with host({"one": None}) as fw:
        resources = await asyncio.gather(*(fw.acquire("one.kind") for _ in range(20)))
        assert all(one.is_allocated() for one in resources)
        assert sys.modules["plugin_one"].LOG == ["up"]


async def test_a_first_user_that_is_cancelled_does_not_spoil_it_for_the_next(site: Path, install: Install) -> None:
    slow = code("one").replace('        LOG.append("up")', '        LOG.append("up")\n        await GATE.wait()')
    slow = slow.replace("self.thread = ", "return await GATE.wait()\n        self.thread = ", 1)
    slow = slow.replace("self.stop.set()\n        self.thread.join()\n        os.close(self.descriptor)", "pass")
    install(site, "one", slow + "\nGATE, ENTERED = anyio.Event(), []\n", extra=manifest("one"))
    async with host({"one": None}) as fw:
        first = asyncio.ensure_future(fw.activate("one"))
        while "plugin_one" not in sys.modules or not hasattr(sys.modules["plugin_one"], "ENTERED"):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert state(fw, "one") is PluginState.DISCOVERED
        sys.modules["plugin_one"].GATE.set()
        await fw.activate("one")
        assert state(fw, "one") is PluginState.ACTIVE


async def test_a_failure_on_first_use_reaches_the_caller_and_the_list(site: Path, install: Install) -> None:
    install(site, "bad", "raise OSError('no luck')", extra=manifest("bad"))
    install(site, "needy", code("needy"), extra=manifest("needy", 'requires = ["bad"]'))
    async with host({"bad": None, "needy": None}) as fw:
        with pytest.raises(PluginError, match="no luck") as caught:
            await fw.acquire("bad.kind")
        assert caught.value.plugin == "bad"
        assert (state(fw, "bad"), fw.plugins.record("bad").phase) == (PluginState.FAILED, "import")
        with pytest.raises(UnknownKindError, match="no luck"):
            await fw.acquire("bad.kind")
        with pytest.raises(PluginError, match=r"requires 'bad', which is failed.*no luck"):
            await fw.acquire("needy.kind")
        assert fw.leases() == ()


async def test_the_configuration_can_start_a_plugin_at_once(site: Path, install: Install) -> None:
    install(site, "one", code("one"), extra=manifest("one"))
    async with host({"one": {"activation": "startup"}}) as fw:
        assert state(fw, "one") is PluginState.ACTIVE
    with pytest.raises(SettingsError, match=r"plugins\.one\.activation = 'later'; allowed: startup or use"):
        host({"one": {"activation": "later"}})


async def test_independent_plugins_start_at_the_same_time(site: Path, install: Install) -> None:
    meet = (
        "import builtins\nfrom framework import Plugin\n"
        "class Sample(Plugin):\n    async def initialize(self):\n        await builtins._test_meeting('{name}')\n"
    )
    arrived: set[str] = set()
    both = anyio.Event()

    async def meeting(name: str) -> None:
        arrived.add(name)
        if len(arrived) == 2:
            both.set()
        await both.wait()

    import builtins

    vars(builtins)["_test_meeting"] = meeting
    try:
        for name in ("one", "two"):
            install(site, name, meet.format(name=name))
        async with host({"one": None, "two": None}, timeouts={"start": 20}) as fw:
            assert (state(fw, "one"), state(fw, "two")) == (PluginState.ACTIVE, PluginState.ACTIVE)
    finally:
        del vars(builtins)["_test_meeting"]


# deadlines

HANGS = {
    "import": "import threading\nthreading.Event().wait()\n",
    "initialize": "import anyio\nfrom framework import Plugin\n"
    "class Sample(Plugin):\n    async def initialize(self): await anyio.sleep_forever()\n",
    "register": "import anyio\nfrom framework import Plugin, hookimpl\n"
    "class Sample(Plugin):\n    @hookimpl\n    async def register_services(self): await anyio.sleep_forever()\n",
}


@pytest.mark.parametrize("phase", HANGS)
async def test_a_plugin_that_hangs_costs_its_deadline_only(phase: str, site: Path, install: Install) -> None:
    name = f"hangs_in_{phase}"  # a name of its own, since an import that hangs keeps the lock of its module
    install(site, name, HANGS[phase])
    install(site, "good", code("good"), extra=manifest("good"))
    async with host({name: None, "good": {"activation": "startup"}}, timeouts={"start": 0.3}) as fw:
        bad = fw.plugins.record(name)
        assert (bad.state, bad.phase) == (PluginState.FAILED, phase)
        assert f"{name!r} did not end its {phase} within 0.3 s" in bad.reason
        assert state(fw, "good") is PluginState.ACTIVE


async def test_a_cleanup_that_hangs_does_not_stop_the_others(site: Path, install: Install) -> None:
    install(
        site,
        "bad",
        "import anyio\nfrom framework import Plugin\n"
        "class Sample(Plugin):\n    async def cleanup(self): await anyio.sleep_forever()\n",
    )
    install(site, "good", code("good"), extra=manifest("good"))
    fw = host({"bad": None, "good": {"activation": "startup"}}, timeouts={"stop": 0.2})
    with pytest.raises(ExceptionGroup) as caught:
        async with fw:
            pass
    assert [str(one) for one in caught.value.exceptions] == ["Stopping plugin 'bad' took longer than 0.2 s."]
    assert sys.modules["plugin_good"].LOG == ["up", "down"]
    assert (state(fw, "bad"), state(fw, "good")) == (PluginState.STOPPED, PluginState.STOPPED)


async def test_a_plugin_that_blocks_the_loop_is_named(site: Path, install: Install) -> None:
    block = "import threading\nfrom framework import Plugin\nclass Sample(Plugin):\n    async def initialize(self):\n"
    install(site, "bad", block + "        threading.Event().wait(0.7)\n")
    async with host({"bad": None}) as fw:
        (warning,) = fw.plugins.record("bad").warnings
        assert warning.startswith("It blocked the event loop for 0.")
        assert warning.endswith("s in initialize.")


# required, safe mode


async def test_a_required_plugin_that_fails_stops_the_start(site: Path, install: Install) -> None:
    install(site, "bad", "raise OSError('no luck')", extra=manifest("bad"))
    install(site, "good", code("good"))
    with pytest.raises(PluginError, match=r"'bad' is required, but failed.*no luck"):
        async with host({"bad": {"required": True}, "good": None}):
            pytest.fail("it must not open")
    assert sys.modules["plugin_good"].LOG == ["up", "down"]
    async with host({"bad": {"required": True, "enabled": False}}):
        pass


async def test_safe_mode_starts_the_first_party_set_only(site: Path, install: Install) -> None:
    install(site, "stranger", code("stranger"))
    async with host({"stranger": None}, safe_mode=True) as fw:
        assert state(fw, "stranger") is PluginState.DISABLED
        assert "plugin_stranger" not in sys.modules
    with pytest.raises(SettingsError, match="safe_mode = 'yes'"):
        host({}, safe_mode="yes")


# in a running host


async def test_after_disabling_nothing_of_a_plugin_is_left(site: Path, install: Install) -> None:
    install(site, "one", code("one"), extra=manifest("one"))
    async with host({"one": None}) as fw:
        descriptors = set(os.listdir("/proc/self/fd"))
        held = await fw.acquire("one.kind")
        assert (await fw.measurements()) == {"one": {"one_answers": 42.0}}

        assert await fw.disable("one") == ["one"]

        assert not held.is_allocated()
        assert sys.modules["plugin_one"].LOG == ["up", "closed", "down"]
        assert (fw.kinds(), fw.leases(), (await fw.measurements())) == ((), (), {})
        assert "thread of one" not in threads()
        gc.collect()
        assert set(os.listdir("/proc/self/fd")) <= descriptors
        assert state(fw, "one") is PluginState.DISABLED
        for call in (fw.service("one.service"), fw.execute("one")):
            with pytest.raises(PluginError):
                await call
        with pytest.raises(ResourceError, match="disabled"):
            await fw.acquire("one.kind")

        await fw.enable("one")
        assert (await fw.acquire("one.kind")).is_allocated()


async def test_dependants_go_first_and_come_back(site: Path, install: Install) -> None:
    install(site, "base", code("base"), extra=manifest("base"))
    install(site, "middle", code("middle"), extra=manifest("middle", 'requires = ["base"]'))
    install(site, "top", code("top"), extra=manifest("top", 'requires = ["middle.kind"]'))
    async with host({"base": None, "middle": None, "top": None}) as fw:
        await fw.activate("top")
        assert await fw.disable("base") == ["top", "middle", "base"]
        assert state(fw, "top") is PluginState.BLOCKED
        assert "requires 'middle.kind'" in fw.plugins.record("top").reason
        assert "disabled" in fw.plugins.record("top").reason
        await fw.enable("base")
        await fw.activate("top")
        assert state(fw, "top") is PluginState.ACTIVE


async def test_a_plugin_object_of_the_application_stays_stopped_until_it_is_registered_again() -> None:
    dummy = DummyPlugin()
    async with Framework(Settings.load({"plugins": {}}, environ={}), plugins=[dummy]) as fw:
        assert await fw.disable("dummy") == ["dummy"]
        assert dummy.actions == ["initialize", "cleanup"]
        assert state(fw, "dummy") is PluginState.STOPPED
        with pytest.raises(PluginError, match="which may register it again"):
            await fw.enable("dummy")
        fw.plugins.register_plugin(dummy)
        await fw.enable("dummy")
        assert (await fw.acquire("dummy.thing")).is_allocated()


async def test_reloading_reads_the_plugin_anew_with_all_that_need_it(site: Path, install: Install) -> None:
    install(site, "base", code("base"), extra=manifest("base"))
    install(site, "top", code("top"), extra=manifest("top", 'requires = ["base"]'))
    async with host({"base": None, "top": None}) as fw:
        await fw.activate("top")
        (site / "plugin_base" / "__init__.py").write_text(code("base", "2.0 and longer"))
        await fw.reload("base")
        assert sys.modules["plugin_base"].VERSION == "2.0 and longer"
        assert (state(fw, "base"), state(fw, "top")) == (PluginState.ACTIVE, PluginState.ACTIVE)

        (site / "plugin_base" / "__init__.py").write_text("raise OSError('broken by an upgrade')")
        with pytest.raises(PluginError, match="broken by an upgrade"):
            await fw.reload("base")
        assert (state(fw, "base"), state(fw, "top")) == (PluginState.FAILED, PluginState.BLOCKED)

        (site / "plugin_base" / "__init__.py").write_text(code("base", "3.0"))
        await fw.reload("base")
        await fw.activate("top")
        assert sys.modules["plugin_base"].VERSION == "3.0"


async def test_what_was_installed_since_can_be_enabled(site: Path, install: Install) -> None:
    install(site, "one", code("one"))
    async with host({"one": None}) as fw:
        install(site, "late", code("late"), extra=manifest("late", 'requires = ["one"]'))
        await fw.enable("late")
        assert (await fw.acquire("late.kind")).is_allocated()
        assert sys.modules["plugin_one"].LOG == ["up"]


async def test_an_unknown_plugin_is_refused_with_a_suggestion(site: Path, install: Install) -> None:
    install(site, "one", code("one"))
    async with host({"one": None}) as fw:
        for call in (fw.enable("onne"), fw.disable("onne"), fw.reload("onne"), fw.activate("onne"), fw.execute("onne")):
            with pytest.raises(PluginError, match="Did you mean 'one'"):
                await call


# executing and health


async def test_a_plugin_executes_what_it_is_for_counted_and_timed(site: Path, install: Install) -> None:
    install(site, "one", code("one"), extra=manifest("one"))
    install(site, "idle", "from framework import Plugin\nclass Sample(Plugin): pass\n")
    async with host({"one": None, "idle": None}) as fw:
        assert await fw.execute("one", {"values": [1, 2, 3]}) == {"sum": 6}
        with pytest.raises(KeyError):
            await fw.execute("one", {})
        with pytest.raises(PluginError, match="'idle' executes nothing"):
            await fw.execute("idle")
    counted = MetricsManager.get_instance().counters()["plugin_operations"]
    of = {dict(labels)["success"]: count for labels, count in counted.items() if ("plugin", "one") in labels}
    assert of["true"] >= 1
    assert of["false"] >= 1


async def test_health_is_each_plugins_own_word_or_why_there_is_none(site: Path, install: Install) -> None:
    answers = {
        "good": "return Health(healthy=True, message='fine')",
        "ill": "return Health(healthy=False, message='disk full')",
        "raises": "raise OSError('no answer')",
        "ends": "raise BaseException('worse')",
        "hangs": "await anyio.sleep_forever()",
        "wrong": "return 7",
    }
    for name, body in answers.items():
        head = "import anyio\nfrom framework import Plugin\nfrom framework.records import Health\n"
        install(site, name, f"{head}class Sample(Plugin):\n    async def health_check(self):\n        {body}\n")
    async with host(dict.fromkeys(answers)) as fw:
        health = await fw.health(timeout=0.2)
    assert {name: (one.healthy, one.message) for name, one in health.items()} == {
        "ends": (False, "BaseException: worse."),
        "good": (True, "fine"),
        "hangs": (False, "It did not answer within 0.2 s."),
        "ill": (False, "disk full"),
        "raises": (False, "OSError: no answer."),
        "wrong": (False, "It answered 7; expected a Health."),
    }


async def test_the_phases_of_a_start_are_timed(site: Path, install: Install) -> None:
    install(site, "one", code("one"))
    async with host({"one": None}) as fw:
        phases = fw.plugins.timings()["one"]
    assert list(phases) == ["import", "settings", "initialize", "register"]
    assert all(seconds >= 0 for seconds in phases.values())


# what it changes, whom to trust


async def test_what_a_plugin_changes_for_everybody_is_in_its_row(site: Path, install: Install) -> None:
    changes = "import os, sys\nfrom framework import Plugin\n"
    changes += "class Sample(Plugin):\n    async def initialize(self):\n"
    changes += "        sys.path.append('/nowhere/at/all')\n        os.environ['TEST_LEFT_BEHIND'] = 'secret'\n"
    install(site, "bad", changes)
    path = list(sys.path)
    try:
        async with host({"bad": None}) as fw:
            warnings = " ".join(fw.plugins.record("bad").warnings)
    finally:
        sys.path[:] = path
        os.environ.pop("TEST_LEFT_BEHIND", None)
    assert "/nowhere/at/all" in warnings
    assert "TEST_LEFT_BEHIND" in warnings
    assert "secret" not in warnings


async def test_a_plugin_in_quarantine_is_not_imported(site: Path, install: Install) -> None:
    install(site, "bad", code("bad"), extra=manifest("bad"))
    install(site, "needy", code("needy"), extra=manifest("needy", 'requires = ["bad"]'))
    Quarantine().add("bad", "1.0", "It ended the interpreter.")
    try:
        async with host({"bad": {"activation": "startup"}, "needy": None}) as fw:
            assert (state(fw, "bad"), state(fw, "needy")) == (PluginState.QUARANTINED, PluginState.BLOCKED)
            assert "`framework plugins unquarantine bad`" in fw.plugins.record("bad").reason
            assert "quarantine" in fw.plugins.record("needy").reason
            assert "plugin_bad" not in sys.modules
    finally:
        Quarantine().lift("bad")


async def test_a_plugin_that_is_not_as_locked_is_refused(
    site: Path, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "one", code("one"), extra=manifest("one"))
    install(site, "two", code("two"), extra=manifest("two"))
    monkeypatch.chdir(tmp_path)
    found = discover([str(site)]).manifests
    lock.write(lock.entries(found.values()), lock.place())
    (site / "plugin_two" / "__init__.py").write_text(code("two") + "# changed")
    async with host({"one": None, "two": None}, locked=True) as fw:
        assert (state(fw, "one"), state(fw, "two")) == (PluginState.DISCOVERED, PluginState.FAILED)
        assert fw.plugins.record("two").phase == "lock"
        await fw.activate("one")
        with pytest.raises(PluginError, match="lock"):
            await fw.activate("two")


async def test_a_plugin_without_manifest_is_held_to_what_its_decorator_says(tmp_path: Path) -> None:
    text = (
        "from framework import Plugin, PluginType, plugin\n"
        "@plugin(name='{name}', version='1', description='', author='', plugin_type=PluginType.STORAGE,\n"
        "        dependencies=['{needs}'])\nclass Sample(Plugin): pass\n"
    )
    for name, needs in (("needy", "absentee"), ("ring", "round"), ("round", "ring")):
        (tmp_path / f"plugin_{name}.py").write_text(text.format(name=name, needs=needs))
    async with host({"needy": None, "ring": None, "round": None}, plugin_folders=[str(tmp_path)]) as fw:
        assert {one.state for one in fw.plugins.records() if one.name in {"needy", "ring", "round"}} == {
            PluginState.BLOCKED
        }
        assert "'absentee'" in fw.plugins.record("needy").reason
        assert "cycle" in fw.plugins.record("ring").reason
    for name in ("needy", "ring", "round"):
        sys.modules.pop(f"plugin_{name}", None)


async def test_a_command_or_a_service_is_no_kind(site: Path, install: Install) -> None:
    install(site, "one", code("one"), extra=manifest("one"))
    async with host({"one": None}) as fw:
        with pytest.raises(UnknownKindError, match=r"No installed plugin provides 'one\.service'"):
            await fw.acquire("one.service")
        assert state(fw, "one") is PluginState.DISCOVERED


async def test_of_two_that_promise_one_kind_neither_wins_silently(
    site: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        install(site, name, code("same"), extra=manifest("same"))
    async with host({"one": None, "two": None}) as fw:
        await fw.acquire("same.kind")
        told = caplog.text
        for name, other in (("one", "two"), ("two", "one")):
            assert any(f"{other!r} promises the kind 'same.kind'" in each for each in fw.plugins.record(name).warnings)
            assert f"plugin={name} warning=Also plugin {other!r} promises" in told
        await fw.disable("two")
        assert not any("promises" in each for each in fw.plugins.record("one").warnings)
