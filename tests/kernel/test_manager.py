"""Plugins start in order, fail alone and without trace, and stop in reverse."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from framework import MetricsManager, Plugin, PluginManager, PluginState, PluginType, plugin
from framework.discovery import Discovery, discover
from framework.errors import PluginDependencyError, PluginError, PluginLoadError, PluginNotFoundError
from framework.settings import Settings

pytestmark = pytest.mark.anyio

Install = Callable[..., Path]

HEAD = """
from framework import Plugin, Resource, ResourceProvider, creates, hookimpl

LOG = []

class Thing(Resource):
    async def _close(self):
        LOG.append("closed")

class Provider(ResourceProvider):
    @creates("{name}.kind")
    async def make(self, name: str) -> Thing:
        return Thing()
    async def initialize(self):
        await super().initialize()
        LOG.append("provider up")
    async def cleanup(self):
        await super().cleanup()
        LOG.append("provider down")

"""
WHOLE = """
class Sample(Plugin):
    async def initialize(self):
        LOG.append("up")
    async def cleanup(self):
        LOG.append("down")
    @hookimpl
    def register_resource_providers(self):
        return [Provider()]
    @hookimpl
    def register_services(self):
        return {{"{name}": self}}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def whole(name: str) -> str:
    return (HEAD + WHOLE).format(name=name)


def manager() -> PluginManager:
    return PluginManager(metrics=MetricsManager())


async def started(site: Path, config: Mapping[str, Any]) -> PluginManager:
    made = manager()
    await made.start_all(discover([str(site)]), Settings.load({"plugins": config}, environ={}))
    return made


def provides(name: str, extra: str = "") -> str:
    return f'{extra}\n[provides]\nkinds = ["{name}.kind"]\nservices = ["{name}"]'


def states(made: PluginManager) -> dict[str, PluginState]:
    return {one.name: one.state for one in made.records()}


def registered(made: PluginManager) -> set[str]:
    """Return the names of all plugins that have anything at all registered."""
    return {
        *(name for name, _ in made._hooks.list_name_plugin()),
        *made._plugins,
        *(one.plugin for one in made.contributions.kinds()),
        *made.contributions.services(),
        *made.contributions._by_plugin,
        *(
            implementation.plugin_name
            for caller in vars(made._hooks.hook).values()
            for implementation in caller.get_hookimpls()
        ),
    }


BROKEN = {
    "import error": ("import nowhere_at_all", "import", ["Importing 'plugin_bad' failed", "nowhere_at_all"]),
    "syntax error": ("def broken(:", "import", ["Importing 'plugin_bad' failed: SyntaxError"]),
    "exit at import": ("raise SystemExit('bye')", "import", ["failed: SystemExit: bye"]),
    "no such class": ("x = 1", "import", ["names plugin_bad:Sample, but 'plugin_bad' has no 'Sample'"]),
    "not a plugin": ("Sample = dict", "import", ["names plugin_bad:Sample, a type; expected a subclass"]),
    "constructor": (
        HEAD + "class Sample(Plugin):\n    def __init__(self): raise RuntimeError('no')\n",
        "import",
        ["Constructing plugin_bad.Sample failed: RuntimeError: no", "without arguments"],
    ),
    "constructor wants arguments": (
        HEAD + "class Sample(Plugin):\n    def __init__(self, x): ...\n",
        "import",
        ["Constructing plugin_bad.Sample failed: TypeError"],
    ),
    "declared twice": (
        "from framework import *\n@plugin('bad', '1', '', '', PluginType.PROVIDER)\nclass Sample(Plugin): ...\n",
        "import",
        ["declares itself twice", "plugin.toml and by @plugin", "Remove the decorator or the file"],
    ),
    "hook with a wrong argument": (
        HEAD + "class Sample(Plugin):\n    @hookimpl\n    def register_services(self, surprise): ...\n",
        "import",
        ["A hook of plugin 'bad' does not fit", "surprise"],
    ),
    "property that fails": (
        HEAD + "class Sample(Plugin):\n    @property\n    def x(self): return self._x\n"
        "    async def initialize(self): self.x\n",
        "initialize",
        ["Plugin 'bad' failed to initialize: AttributeError"],
    ),
    "initialize": (
        HEAD + "class Sample(Plugin):\n    async def initialize(self): raise OSError('no disk')\n",
        "initialize",
        ["Plugin 'bad' failed to initialize: OSError: no disk."],
    ),
    "exit in initialize": (
        HEAD + "class Sample(Plugin):\n    async def initialize(self): raise SystemExit(3)\n",
        "initialize",
        ["failed to initialize: SystemExit: 3"],
    ),
    "unknown hook": (
        HEAD + WHOLE + "    @hookimpl\n    def register_servises(self): return {{}}\n",
        "register",
        ["implements the unknown hook 'register_servises'", "Did you mean 'register_services'?"],
    ),
    "hook raises": (
        HEAD + WHOLE + "    @hookimpl\n    def register_metrics_collectors(self): raise KeyError('x')\n",
        "register",
        ["Plugin 'bad' failed to register: KeyError: 'x'"],
    ),
    "hook exits": (
        HEAD + WHOLE + "    @hookimpl\n    def register_metrics_collectors(self): raise SystemExit\n",
        "register",
        ["failed to register: SystemExit"],
    ),
    "hook returns nothing": (
        HEAD + WHOLE + "    @hookimpl\n    def register_metrics_collectors(self): pass\n",
        "register",
        ["register_metrics_collectors of plugin 'bad' returned None", "expected a list"],
    ),
    "hook returns the wrong kind": (
        HEAD + WHOLE + "    @hookimpl\n    def register_cleanup_participants(self): return ['x']\n",
        "register",
        ["returned 'x', a str; expected CleanupParticipant"],
    ),
    "services are no mapping": (
        HEAD + WHOLE.replace('{{"{name}": self}}', "[self]"),
        "register",
        ["register_services of plugin 'bad' returned [", "expected a mapping"],
    ),
    "provider fails": (
        HEAD + WHOLE.replace("[Provider()]", "[Provider(), Failing()]")
        + "class Failing(ResourceProvider):\n    async def initialize(self): raise OSError('no device')\n",
        "register",
        ["Plugin 'bad' failed to register: OSError: no device"],
    ),
    "kind of another": (
        HEAD.replace("{name}.kind", "agood.kind") + WHOLE,
        "register",
        ["Plugin 'bad' registers the kind 'agood.kind', which plugin 'agood' already registered", "Disable one"],
    ),
    "service of another": (
        HEAD + WHOLE.replace('{{"{name}"', '{{"agood"'),
        "register",
        ["registers the service 'agood', which plugin 'agood' already registered"],
    ),
    "one kind twice": (
        HEAD + WHOLE.replace("[Provider()]", "[Provider(), Provider()]"),
        "register",
        ["registers the kind 'bad.kind', which plugin 'bad' already registered"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
async def test_a_plugin_that_breaks_fails_alone_and_leaves_nothing(site: Path, install: Install, case: str) -> None:
    code, phase, said = BROKEN[case]
    install(site, "agood", whole("agood"), extra=provides("agood"))
    install(site, "zgood", whole("zgood"), extra=provides("zgood"))
    install(site, "bad", code.format(name="bad") if HEAD in code or WHOLE[:20] in code else code, extra=provides("bad"))
    install(site, "needy", whole("needy"), extra=provides("needy", 'requires = ["bad.kind"]'))
    install(site, "last", whole("last"), extra=provides("last", 'requires = ["needy"]'))
    made = await started(site, dict.fromkeys(("agood", "zgood", "bad", "needy", "last")))
    assert states(made) == {
        "agood": PluginState.ACTIVE,
        "zgood": PluginState.ACTIVE,
        "bad": PluginState.FAILED,
        "needy": PluginState.BLOCKED,
        "last": PluginState.BLOCKED,
    }
    bad = made.record("bad")
    assert bad.phase == phase
    assert all(one in bad.reason for one in said), bad.reason
    assert "Traceback" in bad.traceback
    assert "\n" not in bad.reason
    needy = made.record("needy")
    assert needy.reason == f"Plugin 'needy' requires 'bad', which is failed: {bad.reason}"
    assert made.record("last").reason == f"Plugin 'last' requires 'needy', which is blocked: {needy.reason}"
    assert registered(made) == {"agood", "zgood"}
    log = getattr(sys.modules.get("plugin_bad"), "LOG", [])
    assert ("down" in log) == (phase == "register")
    assert log.count("provider up") == log.count("provider down") or case == "provider fails"
    if case == "provider fails":
        assert log == ["up", "provider up", "provider down", "down"]
    assert "plugin_needy" not in sys.modules
    counted = made._metrics.counters()["plugin_loads"]
    assert counted[("path", "bad"), ("success", "false")] == 1
    assert counted[("path", "agood"), ("success", "true")] == 1
    assert made._metrics.histograms()["plugin_load_duration"][(("path", "bad"),)].count == 1
    await made.cleanup()
    assert made.record("agood").state is PluginState.STOPPED


async def test_wrong_settings_fail_the_plugin_before_it_initializes(site: Path, install: Install) -> None:
    extra = 'settings = "plugin_sized:Model"'
    model = "from pydantic import BaseModel\nclass Model(BaseModel):\n    size: int = 1\n"
    install(site, "sized", whole("sized") + model, extra=extra)
    made = await started(site, {"sized": {"size": "big"}})
    assert made.record("sized").phase == "settings"
    assert "plugins.sized.size = 'big'" in made.record("sized").reason
    assert sys.modules["plugin_sized"].LOG == []
    assert registered(made) == set()
    again = await started(site, {"sized": {"size": 3}})
    assert again.get_plugin("sized").settings.size == 3


async def test_an_optional_hook_that_nobody_specified_is_no_fault(site: Path, install: Install) -> None:
    optional = "    @hookimpl(optionalhook=True)\n    def somebody_elses_hook(self): ...\n"
    install(site, "soft", whole("soft") + optional)
    made = await started(site, {"soft": None})
    assert made.record("soft").state is PluginState.ACTIVE


async def test_a_plugin_may_bring_a_hook_that_another_implements(site: Path, install: Install) -> None:
    brings = (
        "import framework\nclass Specs:\n    @framework.hookspec\n    def greet(self): ...\n"
        "class Sample(framework.Plugin):\n    @framework.hookimpl\n    def add_hookspecs(self): return [Specs]\n"
    )
    uses = (
        "import framework\nclass Sample(framework.Plugin):\n    @framework.hookimpl\n    def greet(self): return 'hi'\n"
    )
    install(site, "zbrings", brings)
    install(site, "auses", uses, extra='requires = ["zbrings"]')
    made = await started(site, {"zbrings": None, "auses": None})
    assert set(states(made).values()) == {PluginState.ACTIVE}
    assert made._hooks.hook.greet() == ["hi"]


async def test_plugins_start_in_order_and_stop_in_reverse_each_tried(site: Path, install: Install) -> None:
    shared = "import builtins\nLOG = builtins.__dict__.setdefault('_test_log', [])\n"
    for name, needs, fails in (
        ("c", "", ""),
        ("b", "c", "raise OSError('b')"),
        ("a", "b", "raise SystemExit(2)"),
        ("d", "", ""),
    ):
        code = whole(name).replace("LOG = []", shared).replace('LOG.append("up")', f'LOG.append("up {name}")')
        code = code.replace('LOG.append("down")', f'LOG.append("down {name}"); {fails}')
        install(site, name, code, extra=provides(name, f'requires = ["{needs}"]' if needs else ""))
    import builtins

    try:
        made = await started(site, dict.fromkeys("abcd"))
        with pytest.raises(ExceptionGroup) as caught:
            await made.cleanup()
        lines = [line for line in vars(builtins)["_test_log"] if not line.startswith("provider")]
    finally:
        vars(builtins).pop("_test_log", None)
    ups, downs = [line.removeprefix("up ") for line in lines[:4]], [line.removeprefix("down ") for line in lines[4:]]
    assert downs == ups[::-1]
    assert sorted(ups) == ["a", "b", "c", "d"]
    assert ups.index("c") < ups.index("b") < ups.index("a")
    assert [str(one) for one in caught.value.exceptions] == ["cleanup() of 'a' called exit.", "b"]
    assert set(states(made).values()) == {PluginState.STOPPED}
    assert registered(made) == set()
    await made.cleanup()


async def test_a_cancelled_start_leaves_nothing(site: Path, install: Install) -> None:
    waits = (
        "import anyio\nENTERED = anyio.Event()\n"
        "class Waiting(ResourceProvider):\n"
        "    async def initialize(self):\n        ENTERED.set()\n        await anyio.sleep_forever()\n"
        "    async def cleanup(self):\n        await anyio.sleep(0)\n        LOG.append('waiting down')\n"
    )
    install(site, "slow", (HEAD + WHOLE).format(name="slow").replace("[Provider()]", "[Provider(), Waiting()]") + waits)
    install(site, "after", whole("after"), extra='requires = ["slow"]')
    made = manager()
    async with anyio.create_task_group() as tasks:

        async def start() -> None:
            await made.start_all(
                discover([str(site)]), Settings.load({"plugins": {"slow": None, "after": None}}, environ={})
            )

        tasks.start_soon(start)
        while not hasattr(sys.modules.get("plugin_slow"), "ENTERED"):  # it is imported in a thread
            await anyio.sleep(0)
        await sys.modules["plugin_slow"].ENTERED.wait()
        tasks.cancel_scope.cancel()
    assert sys.modules["plugin_slow"].LOG == ["up", "provider up", "waiting down", "provider down", "down"]
    assert registered(made) == set()
    assert (made.record("slow").state, made.record("slow").phase) == (PluginState.DISCOVERED, "register")
    assert made.record("slow").reason == "The start was cancelled."
    assert "plugin_after" not in sys.modules


async def test_a_disabled_plugin_is_never_imported_and_blocks_who_needs_it(site: Path, install: Install) -> None:
    install(site, "off", "raise SystemExit", extra=provides("off"))
    install(site, "needy", whole("needy"), extra='requires = ["off.kind"]')
    made = await started(site, {"off": {"enabled": False}, "needy": None})
    assert states(made) == {"off": PluginState.DISABLED, "needy": PluginState.BLOCKED}
    assert "plugin 'off', which provides it, is disabled" in made.record("needy").reason
    assert "plugin_off" not in sys.modules


# plugin objects and single modules


def make(name: str, kind: PluginType = PluginType.PROVIDER, dependencies: list[str] | None = None) -> Plugin:
    @plugin(name, "1", "", "", kind, dependencies)
    class Made(Plugin):
        calls: list[str]

        def __init__(self) -> None:
            self.calls = []

        async def initialize(self) -> None:
            self.calls.append("up")

        async def cleanup(self) -> None:
            self.calls.append("down")

    return Made()


async def test_registered_plugins_are_found_by_name_and_type() -> None:
    made = manager()
    one, two = make("one"), make("two", PluginType.MONITOR)
    made.register_plugin(one)
    made.register_plugin(two)
    assert made.get_plugin("one") is one
    assert made.get_plugins_by_type(PluginType.MONITOR) == [two]
    assert made.get_plugins_by_type(PluginType.STORAGE) == []
    with pytest.raises(PluginNotFoundError, match=r"not found: 'tow'; registered are one, two\. Did you mean 'two'"):
        made.get_plugin("tow")
    with pytest.raises(PluginError, match=r"already registered: 'one', by .*Made.*another name"):
        made.register_plugin(make("one"))
    with pytest.raises(PluginError, match=r"expected an instance of framework\.Plugin"):
        made.register_plugin(dict)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(PluginError, match="has no metadata"):
        made.register_plugin(Plugin())
    assert registered(made) == {"one", "two"}


async def test_started_objects_and_loaded_modules_live_together(site: Path, install: Install) -> None:
    (site / "plugin_first.py").write_text(
        "from framework import *\n@plugin('first', '1', '', '', PluginType.STORAGE)\nclass First(Plugin): ...\n"
    )
    made = manager()
    first = await made.load_plugin("plugin_first")
    object_ = make("object", dependencies=["first"])
    made.register_plugin(object_)
    off = make("off")
    made.register_plugin(off)
    await made.start_all(Discovery(), Settings.load({"plugins": {"off": {"enabled": False}}}, environ={}))
    assert states(made) == {"first": PluginState.ACTIVE, "object": PluginState.ACTIVE, "off": PluginState.DISABLED}
    assert made.get_plugin("first") is first
    await made.cleanup()
    assert vars(object_)["calls"] == ["up", "down"]
    assert vars(off)["calls"] == []


MODULE = "from framework import *\n@plugin('{name}', '1', '', '', PluginType.STORAGE{needs})\n"


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("raise SystemExit", PluginLoadError, "SystemExit"),
        ("answer = 42", PluginNotFoundError, "No plugin class found in 'plugin_x'"),
        ("from framework.plugins import Plugin", PluginNotFoundError, "No plugin class found"),
        (
            "from framework import Plugin\nclass A(Plugin): ...\nclass B(Plugin): ...\n",
            PluginLoadError,
            "several plugin classes: A, B; expected one",
        ),
        ("from framework import Plugin\nclass A(Plugin): ...\n", PluginError, "has no metadata"),
        (MODULE.format(name="x", needs=", ['absent']") + "class A(Plugin): ...\n", PluginDependencyError, "absent"),
        (
            MODULE.format(name="x", needs="") + "class A(Plugin):\n    async def initialize(self): 1 / 0\n",
            PluginLoadError,
            "Initializing plugin 'x' failed: ZeroDivisionError",
        ),
        (
            MODULE.format(name="x", needs="") + "class A(Plugin):\n    @hookimpl\n    def register_it(self): ...\n",
            PluginLoadError,
            "unknown hook 'register_it'",
        ),
    ],
)
async def test_a_module_that_cannot_be_loaded_leaves_nothing_and_is_counted(
    site: Path, code: str, error: type[PluginError], said: str
) -> None:
    (site / "plugin_x.py").write_text(code)
    made = manager()
    with pytest.raises(error) as caught:
        await made.load_plugin("plugin_x")
    assert said in str(caught.value)
    assert registered(made) == set()
    assert made.records() == ()
    assert made._metrics.counters()["plugin_loads"] == {(("path", "plugin_x"), ("success", "false")): 1}
    await made.cleanup()


async def test_a_loaded_module_is_registered_with_what_it_contributes(site: Path) -> None:
    code = (
        MODULE.format(name="x", needs="") + WHOLE.format(name="x").lstrip() + HEAD.format(name="x") + "Alias = Sample\n"
    )
    (site / "plugin_x.py").write_text(code)
    made = manager()
    one = await made.load_plugin("plugin_x")
    assert made.contributions.services() == {"x": one}
    assert [kind.kind for kind in made.contributions.kinds()] == ["x.kind"]
    assert made._metrics.counters()["plugin_loads"] == {(("path", "plugin_x"), ("success", "true")): 1}
    assert made._metrics.histograms()["plugin_load_duration"][(("path", "plugin_x"),)].count == 1
    await made.cleanup()
    assert sys.modules["plugin_x"].LOG == ["up", "provider up", "provider down", "down"]
    assert made.contributions.kinds() == ()


async def test_modules_of_a_package_or_folder_are_discovered_and_counted(site: Path) -> None:
    package = site / "some_plugins"
    package.mkdir()
    for name in ("__init__", "plugin_b", "plugin_a", "helper"):
        (package / f"{name}.py").write_text("" if name == "__init__" else "raise SystemExit\n")
    made = manager()
    assert await made.discover_plugins("some_plugins") == ["some_plugins.plugin_a", "some_plugins.plugin_b"]
    assert await made.discover_plugins(package) == ["plugin_a", "plugin_b"]
    assert "some_plugins.plugin_a" not in sys.modules
    (site / "explodes").mkdir()
    (site / "explodes" / "__init__.py").write_text("raise RuntimeError('boom')")
    for missing in ("nowhere_at_all", "nowhere.at.all", str(site / "absent"), "", "explodes.inner"):
        with pytest.raises(PluginError, match="Failed to discover plugins in") as caught:
            await made.discover_plugins(missing)
        assert repr(missing) in str(caught.value)
    counted = made._metrics.counters()["plugin_discoveries"]
    assert counted[("package", "some_plugins"), ("success", "true")] == 2
    assert counted[("package", "nowhere_at_all"), ("success", "false")] == 1


async def test_an_unknown_row_is_refused_with_the_nearest(site: Path, install: Install) -> None:
    install(site, "memory", whole("memory"))
    made = await started(site, {"memory": None})
    with pytest.raises(PluginNotFoundError, match=r"called 'memroy'; known are memory\. Did you mean 'memory'"):
        made.record("memroy")


async def test_an_object_whose_name_is_none_is_refused() -> None:
    @plugin("../odd", "1.0", "x", "x", PluginType.MONITOR)
    class Odd(Plugin):
        pass

    with pytest.raises(PluginError, match=r"called '\.\./odd'; allowed: .* letters, digits"):
        PluginManager().register_plugin(Odd())


async def test_a_package_with_a_manifest_can_be_loaded_by_its_path(site: Path, install: Install) -> None:
    code = (
        "import pydantic\nfrom framework import Plugin\nclass Model(pydantic.BaseModel):\n    depth: int = 3\n"
        "class Sample(Plugin):\n    async def initialize(self): self.seen = self.settings.depth\n"
    )
    extra = 'settings = "plugin_one:Model"\n[provides]\nkinds = ["one.kind"]'
    install(site, "one", code, extra=extra, version="3.1")
    made = manager()
    loaded: Any = await made.load_plugin("plugin_one")
    assert (loaded.name, loaded.version, loaded.metadata.description) == ("one", "3.1", "A sample.")
    assert (loaded.metadata.entry_point, loaded.seen) == ("plugin_one.Sample", 3)
    assert made.record("one").provides == ("one.kind",)

    install(site, "torn", code, manifest="name = ")
    with pytest.raises(PluginLoadError, match="is not TOML"):
        await made.load_plugin("plugin_torn")
    await made.cleanup()


async def test_a_package_with_neither_manifest_nor_decorator_works(site: Path, install: Install) -> None:
    install(site, "bare", "from framework import Plugin\nclass Sample(Plugin): ...\n", manifest=None, version="2.5")
    made = manager()
    await made.start_all(discover([str(site)]), Settings.load({"plugins": {"bare": {}}}, environ={}))
    assert (made.record("bare").state, made.get_plugin("bare").version) == (PluginState.ACTIVE, "2.5")
    await made.cleanup()
