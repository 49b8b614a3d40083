"""From an entry point to a plugin object, whatever the module does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from framework import Plugin, PluginType
from framework.errors import PluginError, PluginLoadError, PluginNotFoundError
from framework.manifest import Manifest
from framework.plugins import loading

DECORATED = "from framework import *\n@plugin('x', '2', 'd', 'a', PluginType.MONITOR)\nclass Sample(Plugin): ...\n"


def declared(entry_point: str, path: str = "/x/plugin.toml", **rest: str) -> Manifest:
    return Manifest("x", entry_point, "provider", path=path, **rest)  # type: ignore[arg-type]  # only text fields


def module(site: Path, code: str) -> None:
    (site / "plugin_x.py").write_text(code)


@pytest.mark.parametrize(
    "entry_point", ["plugin_x:Sample", "plugin_x : Sample", "plugin_x", "plugin_x:Outer.Sample", "plugin_x:made"]
)
def test_an_entry_point_may_name_a_module_a_class_or_an_object(site: Path, entry_point: str) -> None:
    code = "from framework import Plugin\nclass Sample(Plugin): ...\nmade = Sample()\nclass Outer: Sample = Sample\n"
    module(site, code)
    found = loading.load(declared(entry_point, version="7"))
    assert isinstance(found, Plugin)
    assert (found.metadata.name, found.metadata.version) == ("x", "7")
    assert found.metadata.entry_point.startswith("plugin_x")


def test_a_decorated_class_needs_no_manifest(site: Path) -> None:
    module(site, DECORATED)
    assert loading.load(declared("plugin_x:Sample", path="")).metadata.version == "2"


def test_without_decorator_and_manifest_a_plugin_is_what_its_distribution_says(site: Path) -> None:
    module(site, "from framework import Plugin\nclass Sample(Plugin): ...\n")
    bare = Manifest("x", "plugin_x:Sample", version="7", description="d", author="a")
    found = loading.load(bare).metadata
    assert (found.name, found.version, found.description, found.author) == ("x", "7", "d", "a")
    assert (found.plugin_type, found.dependencies) == (PluginType.PROVIDER, [])


@pytest.mark.parametrize(
    ("code", "path", "said"),
    [
        (DECORATED, "/x/plugin.toml", "declares itself twice: in /x/plugin.toml and by @plugin"),
        (DECORATED.replace("'x'", "'y'"), "", "installed as 'x' calls itself 'y'; the two must agree"),
        (
            "from framework import Plugin\nclass Sample(Plugin):\n    @property\n    def metadata(self): 1 / 0\n",
            "",
            "The metadata of 'x' cannot be had: ZeroDivisionError",
        ),
        ("Sample = 3", "", "names plugin_x:Sample, a int; expected a subclass of framework.Plugin"),
        ("", "", "names plugin_x:Sample, but 'plugin_x' has no 'Sample'"),
    ],
)
def test_what_is_no_plugin_is_refused_by_name(site: Path, code: str, path: str, said: str) -> None:
    module(site, code)
    with pytest.raises(PluginLoadError) as caught:
        loading.load(declared("plugin_x:Sample", path=path))
    assert said in str(caught.value)
    assert caught.value.plugin == "x"


def test_only_classes_that_the_module_defines_itself_count(site: Path) -> None:
    (site / "plugin_other.py").write_text(DECORATED)
    module(
        site,
        "import abc\nfrom framework import Plugin\nfrom plugin_other import Sample as Foreign\n"
        "class Base(Plugin, abc.ABC):\n    @abc.abstractmethod\n    def do(self): ...\n"
        "class Real(Base):\n    def do(self): ...\n"
        "Alias = Real\n",
    )
    assert loading.plugin_class(loading.load_module("plugin_x")).__name__ == "Real"
    module(site, "from plugin_other import Sample\n")
    del sys.modules["plugin_x"]
    with pytest.raises(PluginNotFoundError, match="No plugin class found in 'plugin_x'"):
        loading.plugin_class(loading.load_module("plugin_x"))


@pytest.mark.parametrize("code", ["import nowhere_at_all", "def x(:", "raise SystemExit(0)", "1 / 0", "\0"])
def test_a_module_that_cannot_be_imported_is_named_with_the_cause(site: Path, code: str) -> None:
    module(site, code)
    with pytest.raises(PluginLoadError, match="Importing 'plugin_x' failed") as caught:
        loading.load_module("plugin_x")
    assert caught.value.__cause__ is not None
    assert "plugin_x" not in sys.modules


def test_a_module_outside_the_path_is_imported_from_its_file_once(tmp_path: Path, site: Path) -> None:
    folder = tmp_path / "folder" / "plugin_x"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from .inner import Sample\n")
    (folder / "inner.py").write_text("from framework import Plugin\nclass Sample(Plugin): ...\n")
    (folder / "settings.py").write_text("from pydantic import BaseModel\nclass Model(BaseModel): ...\n")
    where = str(folder / "__init__.py")
    manifest = declared("plugin_x:Sample", location=where, settings="plugin_x.settings:Model")
    assert loading.settings_model(manifest).__name__ == "Model"
    assert loading.load(manifest).metadata.name == "x"
    assert loading.load_module("plugin_x", where) is sys.modules["plugin_x"]


def test_a_module_outside_the_path_does_not_replace_one_of_its_name(tmp_path: Path, site: Path) -> None:
    module(site, "mine = True")
    mine = loading.load_module("plugin_x")
    other = tmp_path / "plugin_x.py"
    other.write_text("mine = False")
    with pytest.raises(PluginLoadError, match="a module 'plugin_x' is imported already, from"):
        loading.load_module("plugin_x", str(other))
    assert sys.modules["plugin_x"] is mine


def test_a_module_outside_the_path_that_fails_is_not_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "plugin_x.py"
    file.write_text("raise SystemExit")
    with pytest.raises(PluginLoadError, match="SystemExit"):
        loading.load_module("plugin_x", str(file))
    assert "plugin_x" not in sys.modules
    with pytest.raises(PluginLoadError, match="is not a Python module"):
        loading.load_module("plugin_x", str(tmp_path / "plugin_x.txt"))


def test_a_default_stands_for_an_empty_section_without_importing_the_model() -> None:
    manifest = declared("plugin_x", settings="plugin_x_nowhere:Model")
    assert loading.settings_of(manifest, {}, "x", default="spared") == "spared"
    with pytest.raises(PluginLoadError, match="plugin_x_nowhere"):
        loading.settings_of(manifest, {"key": 1}, "x", default="spared")
    with pytest.raises(PluginLoadError, match="plugin_x_nowhere"):
        loading.settings_of(manifest, {}, "x")


def test_a_settings_model_that_is_not_there_is_named(site: Path) -> None:
    module(site, "")
    with pytest.raises(PluginLoadError, match=r"manifest of 'x' names 'plugin_x:Model', which is not there"):
        loading.settings_model(declared("plugin_x", settings="plugin_x:Model"))
    with pytest.raises(PluginLoadError, match=r"Importing 'plugin_nowhere' failed"):
        loading.settings_model(declared("plugin_x", settings="plugin_nowhere:Model"))
    assert loading.settings_model(declared("plugin_x")) is None


def test_an_error_is_described_in_one_sentence() -> None:
    assert loading.described(ValueError("a\n  b.")) == "ValueError: a b"
    assert loading.described(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert loading.described(PluginError("It broke.", "Mend it.")) == "It broke. Mend it"
