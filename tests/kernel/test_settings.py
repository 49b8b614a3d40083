"""Configuration: layers, where each value comes from, and the sentence each mistake is answered with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from framework import documents
from framework.errors import PluginError, SettingsError
from framework.settings import KEYS, Settings, Value, validated

FIRST = {"file", "memory", "survey"}


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *flags: str,
    **environ: str,
) -> Settings:
    return Settings.load(source, flags=flags, environ=environ)


def write(tmp_path: Path, content: str | bytes, name: str = "framework.yaml") -> Path:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


# layers


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "plugins: {file: {a: 1, b: 1, c: 1, d: {e: 1, f: 1}}}\nlogging: {level: info}\n")
    settings = load(
        file,
        "plugins.file.c=3",
        "plugins.file.d.f=[3]",
        FRAMEWORK__PLUGINS__FILE__B="2",
        FRAMEWORK__PLUGINS__FILE__C="2",
        UNRELATED__X="1",
    )
    assert settings.section("file") == {"a": 1, "b": 2, "c": 3, "d": {"e": 1, "f": [3]}}
    assert settings.get("logging.level") == "info"
    assert settings.get("logging.style") == "console"
    assert settings.explain("plugins.file.a") == Value(1, str(file))
    assert settings.explain("plugins.file.c") == Value(
        3, "flag --set plugins.file.c", ((2, "environment FRAMEWORK__PLUGINS__FILE__C"), (1, str(file)))
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("framework.yaml", "plugins:\n  file:\n    roots: [/x]\n"),
        ("framework.yml", "plugins: {file: {roots: [/x]}}"),
        ("framework.toml", '[plugins.file]\nroots = ["/x"]\n'),
    ],
)
def test_a_file_in_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    write(tmp_path, text, name)
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert settings.section("file") == {"roots": ["/x"]}
    assert settings.base == str(tmp_path)


def test_the_file_named_by_the_environment_comes_before_the_one_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "plugins: {found: {}}")
    other = write(tmp_path, "plugins: {named: {}}", "other.yaml")
    monkeypatch.chdir(tmp_path)
    assert load(FRAMEWORK_CONFIG=str(other)).enabled(()) == {"named"}
    assert load(FRAMEWORK_CONFIG="").enabled(()) == {"found"}
    assert load("framework.yaml", FRAMEWORK_CONFIG=str(other)).enabled(()) == {"found"}


def test_the_mapping_given_is_left_as_it_was() -> None:
    given_mapping: dict[str, Any] = {"plugins": {"file": {}, "memory": {"limits": {}}}}
    settings = load(given_mapping, "plugins.file.a=1", "plugins.memory.limits.b=2")
    assert settings.section("memory") == {"limits": {"b": 2}}
    assert given_mapping == {"plugins": {"file": {}, "memory": {"limits": {}}}}


def test_an_empty_mapping_on_top_takes_nothing_away_and_null_does() -> None:
    base = {"plugins": {"file": {"a": 1}}}
    assert load(base, "plugins.file={}").section("file") == {"a": 1}
    settings = load(base, "plugins.file=null")
    assert settings.section("file") == {}
    assert settings.explain("plugins.file") == Value(None, "flag --set plugins.file", (({"a": 1}, "mapping"),))
    with pytest.raises(SettingsError, match=r"No layer sets 'plugins\.file\.a'"):
        settings.explain("plugins.file.a")


def test_a_section_is_explained_with_everything_below_it() -> None:
    settings = load({"plugins": {"file": {"a": 1, "b": {"c": 2}}}}, "plugins.file.b.c=3")
    assert settings.explain("plugins.file") == Value({"a": 1, "b": {"c": 3}}, "mapping, flag --set plugins.file.b.c")
    assert settings.explain("plugins.file.b") == Value({"c": 3}, "flag --set plugins.file.b.c")


def test_a_key_nobody_set_has_its_default_and_an_unknown_one_is_refused_with_the_nearest() -> None:
    settings = load({})
    assert settings.explain("logging.level") == Value("warning", "default")
    assert settings.explain("plugins") == Value(None, "default")
    with pytest.raises(SettingsError, match=r"Did you mean 'logging\.level'"):
        settings.explain("logging.levle")


LEAVES = st.none() | st.booleans() | st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2)
NAMES = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
LAYERS = st.lists(st.dictionaries(NAMES, TREES, max_size=3), min_size=1, max_size=4)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        former = result.get(key)
        result[key] = merged(former if isinstance(former, dict) else {}, value) if isinstance(value, dict) else value
    return result


def leaves(tree: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {key: one for name, value in tree.items() for key, one in leaves(value, f"{prefix}.{name}").items()}


def as_flag(layer: dict[str, Any]) -> str:
    return f"plugins.x={layer!r}".replace("None", "null").replace("True", "true").replace("False", "false")


@given(LAYERS)
def test_layers_merge_as_the_simple_reference_does(layers: list[dict[str, Any]]) -> None:
    wanted: dict[str, Any] = {}
    for layer in layers:
        wanted = merged(wanted, layer)
    settings = load({"plugins": {"x": layers[0]}}, *map(as_flag, layers[1:]))
    assert settings.tree == {"plugins": {"x": wanted}}
    assert {key: value.value for key, value in settings.origins.items()} == leaves(wanted, "plugins.x")


@given(LAYERS)
def test_every_source_is_the_last_layer_that_said_so(layers: list[dict[str, Any]]) -> None:
    settings = load({"plugins": {"x": layers[0]}}, *map(as_flag, layers[1:]))
    if len(layers) == 1:
        assert {value.source for value in settings.origins.values()} == {"mapping"}
    for key, value in leaves(layers[-1], "plugins.x").items():
        if value != {} and len(layers) > 1:
            assert settings.explain(key).source == "flag --set plugins.x"


# what is enabled


@pytest.mark.parametrize(
    ("text", "flags", "enabled"),
    [
        ("", [], FIRST),
        ("logging: {level: info}", [], FIRST),
        ("plugins: {}", [], set()),
        ("plugins: {file: {}}", [], {"file"}),
        ("plugins: {file: }", [], {"file"}),
        ("plugins: {file: {enabled: true}, memory: {enabled: false}}", [], {"file"}),
        ("plugins: {memory: {enabled: false}}", [], set()),
        ("plugins: {stranger: {a: 1}}", [], {"stranger"}),
        ("", ["plugins.file.enabled=false"], FIRST - {"file"}),
        ("", ["plugins.stranger={}"], FIRST | {"stranger"}),
        ("", ["plugins.file.roots=[/x]"], FIRST),
        ("plugins: {file: {roots: [/x]}}", ["plugins.file.roots=[/y]"], {"file"}),
        ("plugins: {file: {}}", ["plugins.memory={}"], {"file", "memory"}),
        ("plugins: {file: {}, memory: {}}", ["plugins.file.enabled=false"], {"memory"}),
        ("plugins: {}", ["plugins.file={}"], {"file"}),
    ],
)
def test_the_file_lists_what_is_enabled_and_other_layers_adjust_it(
    tmp_path: Path, text: str, flags: list[str], enabled: set[str]
) -> None:
    # a path that reads like a source must not be taken for one
    folder = tmp_path / "environment flag"
    folder.mkdir()
    assert load(write(folder, text), *flags).enabled(FIRST) == enabled
    environ = {
        f"FRAMEWORK__{key.upper().replace('.', '__')}": value for key, _, value in (f.partition("=") for f in flags)
    }
    assert load(write(folder, text), **environ).enabled(FIRST) == enabled


def test_a_section_is_handed_over_without_enabled() -> None:
    settings = load({"plugins": {"file": {"enabled": True, "a": 1}, "bare": None}})
    assert settings.section("file") == {"a": 1}
    assert settings.section("bare") == settings.section("absent") == {}
    assert settings.plugins == {"file": {"enabled": True, "a": 1}, "bare": {}}
    assert load({}).plugins is None


def test_plugin_folders_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "plugin_folders: [mine, /abs]")
    monkeypatch.chdir(tmp_path.parent)
    assert load(tmp_path / "framework.yaml").plugin_folders == [str(tmp_path / "mine"), "/abs"]
    assert load({"plugin_folders": ["mine"]}).plugin_folders == [str(tmp_path.parent / "mine")]


# mistakes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "plugin: {}",
            ["has the unknown key 'plugin'", "logging, plugin_folders, plugins", "Did you mean"],
        ),
        ("logging: {levle: info}", ["unknown key 'logging.levle'", "Did you mean 'logging.level'?"]),
        ("logging: {level: loud}", ["says logging.level = 'loud'", "debug, info, warning, error"]),
        ("logging: {style: [json]}", ["says logging.style = ['json']", "console, json"]),
        ("logging: info", ["says logging = 'info'", "a mapping"]),
        ("plugins: [file]", ["says plugins = ['file']", "a mapping of plugin names"]),
        ("plugins:", ["says plugins = None", "a mapping of plugin names"]),
        ("plugins: {file: yes}", ["says plugins.file = 'a bool'", "a mapping of the plugin's settings"]),
        ("plugins: {file: {enabled: maybe}}", ["says plugins.file.enabled = 'maybe'", "true or false"]),
        ("plugin_folders: here", ["says plugin_folders = 'here'", "a list of paths"]),
        ("plugin_folders: ['']", ["says plugin_folders = ['']", "a list of paths"]),
        (f"plugin_folders: {'x' * 1000}", ["says plugin_folders = 'xxx", "..."]),
        ("- a list", ["holds a list", "allowed: a mapping"]),
        ("just words", ["holds a str", "allowed: a mapping"]),
        ("plugins: {1: {}}", ["has the key 1 under plugins.", "keys must be texts"]),
        ("on: 1", ["has the key True under the top"]),
        ("a: [", ["is not YAML", "in line 2, column 1"]),
        ("a: 'x", ["is not YAML", "line 1"]),
        ("\tplugins: {}", ["is not YAML", "line 1, column 1"]),
        ("a: *nobody", ["is not YAML", "undefined alias in line 1"]),
        ("a: !!python/object:os.system {}", ["is not YAML", "python/object"]),
        ("a: !!bool perhaps", ["is not YAML: KeyError"]),
        ("a: !!int ''", ["is not YAML"]),
        ("a: 2024-13-45", ["is not YAML", "month"]),
        ("a\0: 1", ["is not YAML"]),
        ("a: &a {b: *a}", ["contains itself", "Write it out flat"]),
        ("a: &a [*a, *a]", ["contains itself"]),
        ("a: " + "[" * 100_000, ["nested deeper than 50 levels"]),
        ("{a: " * 100_000, ["nested deeper than 50 levels"]),
        (
            "a0: &a0 {x: 1, y: 2, z: 3}\n"
            + "\n".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40)),
            ["has more than 100000 values"],
        ),
        (b"plugins: \xff\xfe", ["is not UTF-8: byte 0xff at offset 9", "Save it as UTF-8"]),
        ("#" * (documents.SIZE_LIMIT + 1), ["is larger than 1048576 bytes"]),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_that_names_it(
    tmp_path: Path, content: str | bytes, said: list[str]
) -> None:
    file = write(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        load(file)
    text = str(caught.value)
    assert all(one in text for one in [str(file), *said]), text
    assert "\n" not in text
    assert len(text) < 600
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", ["a = ", "a = 1\na = 2", "a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_a_mistake_in_a_toml_file_is_one_sentence(tmp_path: Path, content: str) -> None:
    with pytest.raises(SettingsError, match=r"is not TOML") as caught:
        load(write(tmp_path, content, "framework.toml"))
    assert "\n" not in str(caught.value)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    for content in ("", "# nothing\n", "---\n", "null"):
        assert load(write(tmp_path, content)).tree == {}
    assert load(write(tmp_path, "", "x.toml")).tree == {}


def test_a_path_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "absent.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        ("nul\0l", "embedded null byte"),
    ):
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert repr(str(path)) in str(caught.value)
        assert f"cannot be read: {reason}." in str(caught.value)
        assert "leave it out for the defaults" in str(caught.value)
    with pytest.raises(SettingsError, match="path of the configuration is empty"):
        load("")


def test_a_file_without_read_permission_is_refused_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "plugins: {}").chmod(0)
    tmp_path.chmod(0o755)
    # root reads everything, so a child that is nobody reads; relative, because the parents' doors are closed to it
    code = (
        "import os\n"
        "from framework import settings\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: settings.Settings.load('framework.yaml', environ={})\n"
        "except settings.SettingsError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "'framework.yaml' cannot be read: Permission denied." in done.stdout


def test_a_working_directory_that_is_gone_is_survived(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from framework import settings\n"
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "print(settings.Settings.load(environ={}).tree)\n"
        "try: settings.Settings.load('framework.yaml', environ={})\n"
        "except settings.SettingsError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("{}\nThe configuration 'framework.yaml' cannot be read: No such file")


@pytest.mark.parametrize("flag", ["", "=", "=1", "plugins.file", "logging"])
def test_a_malformed_flag_is_refused_with_its_form(flag: str) -> None:
    with pytest.raises(SettingsError, match=r"is malformed; allowed: --set key\.sub=value"):
        load({}, flag)


@pytest.mark.parametrize("flag", ["plugins..a=1", ".plugins=1", "plugins.=1"])
def test_an_empty_level_is_refused(flag: str) -> None:
    with pytest.raises(SettingsError, match=rf"flag --set {flag.partition('=')[0]} has an empty level"):
        load({}, flag)
    with pytest.raises(SettingsError, match=r"environment FRAMEWORK__PLUGINS__ has an empty level"):
        load({}, FRAMEWORK__PLUGINS__="1")


def test_a_mistake_names_the_layer_it_is_in_and_never_the_text_it_could_not_read() -> None:
    with pytest.raises(SettingsError, match=r"^environment FRAMEWORK__LOGGING__LEVEL says logging.level = 'loud'"):
        load({"logging": {"level": "info"}}, FRAMEWORK__LOGGING__LEVEL="loud")
    with pytest.raises(SettingsError, match=r"^flag --set loging has the unknown key 'loging'.*Did you mean 'logging'"):
        load({}, "loging=1")
    with pytest.raises(SettingsError, match=r"FRAMEWORK__PLUGINS__X__PASSWORD is not YAML.*Quote it") as caught:
        load({}, FRAMEWORK__PLUGINS__X__PASSWORD="hunter2: [hunter2")
    assert "hunter2" not in str(caught.value)


def test_values_of_flags_and_environment_are_read_as_yaml() -> None:
    settings = load({}, "plugins.x.a=[1, b]", "plugins.x.b=", "plugins.x.c=a=b", FRAMEWORK__PLUGINS__X__D="true")
    assert settings.section("x") == {"a": [1, "b"], "b": None, "c": "a=b", "d": True}


# a plugin's own model


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = 1
    links: int = 1


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    roots: list[str] = Field(default_factory=list)
    size: int = 1
    password: SecretStr = SecretStr("")
    pin: SecretStr | None = None
    inner: Inner = Inner()
    many: list[Inner] = Field(default_factory=list)


class Needs(Model):
    where: str


class Explodes(BaseModel):
    size: int = 1

    @field_validator("size")
    @classmethod
    def explode(cls, value: int) -> int:
        raise RuntimeError(f"boom {value}")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            {"rots": []},
            ["unknown key 'plugins.x.rots'", "many, password, pin, roots", "Did you mean 'roots'?"],
        ),
        (
            {"inner": {"limt": 1}},
            ["key 'plugins.x.inner.limt'", "allowed: limit, links", "Did you mean 'limit'?"],
        ),
        ({"many": [{"limt": 1}]}, ["unknown key 'plugins.x.many.0.limt'", "allowed: limit, links"]),
        ({"size": "big"}, ["says plugins.x.size = 'big'", "valid integer"]),
        ({"size": "big", "roots": 1}, ["plugins.x.size = 'big'", "plugins.x.roots = 1"]),
        ({"size": [1]}, ["is wrong at plugins.x.size", "valid integer"]),
    ],
)
def test_a_wrong_setting_of_a_plugin_is_named_with_what_is_allowed(section: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        validated(section, Model, "x")
    assert all(one in str(caught.value) for one in said), str(caught.value)
    assert caught.value.plugin == "x"


def test_a_missing_setting_is_named_without_showing_its_neighbours() -> None:
    with pytest.raises(SettingsError, match=r"lacks the key 'plugins\.x\.where'") as caught:
        validated({"password": "hunter2"}, Needs, "x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("section", [{"password": 12345678}, {"pin": 12345678}, {"api_key": 12345678}])
def test_a_wrong_secret_is_not_shown(section: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        validated(section, Model, "x")
    assert f"plugins.x.{next(iter(section))}" in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_a_right_section_becomes_the_model() -> None:
    assert validated({"size": 3}, Model, "x") == Model(size=3)


def test_a_broken_model_is_the_plugins_fault() -> None:
    with pytest.raises(PluginError, match=r"settings model of plugin 'x' failed: RuntimeError: boom 2"):
        validated({"size": 2}, Explodes, "x")
    for no_model in (dict, 3, "Model"):
        with pytest.raises(PluginError, match=r"expected a pydantic model"):
            validated({}, no_model, "x")


# resource management


def managed(**values: Any) -> Settings:
    return load({"resource_management": values})


def test_resource_management_is_what_the_developer_guide_says() -> None:
    settings = load()
    found = {key: settings.get(key) for key in KEYS if key.startswith("resource_management.")}
    assert found == {
        "resource_management.monitoring_enabled": True,
        "resource_management.monitoring_interval": 30.0,
        "resource_management.warning_threshold_memory": 75.0,
        "resource_management.aggressive_threshold_memory": 85.0,
        "resource_management.warning_threshold_cpu": 80.0,
        "resource_management.source_timeout": 1.0,
        "resource_management.participant_timeout": 5.0,
        "resource_management.concurrency.default_cpu_workers": "auto",
        "resource_management.concurrency.default_io_workers": "auto",
        "resource_management.concurrency.max_total_workers": None,
    }
    changed = managed(monitoring_interval=15, concurrency={"default_io_workers": 4, "max_total_workers": None})
    assert changed.get("resource_management.monitoring_interval") == 15
    assert changed.get("resource_management.concurrency.default_io_workers") == 4
    assert changed.get("resource_management.concurrency.default_cpu_workers") == "auto"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"warning_threshold_memory": 90}, r"warning_threshold_memory = 90; allowed: less than .*, which is 85"),
        ({"aggressive_threshold_memory": 75}, r"allowed: less than .*aggressive_threshold_memory, which is 75"),
        ({"aggressive_threshold_memory": 101}, "allowed: a number above 0, at most 100"),
        ({"warning_threshold_cpu": 0}, "allowed: a number above 0, at most 100"),
        ({"warning_threshold_cpu": float("nan")}, "allowed: a number above 0, at most 100"),
        ({"warning_threshold_memory": True}, "allowed: a number above 0, at most 100"),
        ({"monitoring_interval": 0}, "allowed: a number of seconds above 0"),
        ({"monitoring_enabled": "yes"}, "allowed: true or false"),
        ({"monitoring_intervall": 5}, "Did you mean 'resource_management.monitoring_interval'?"),
        ({"concurrency": 4}, "concurrency = 4; allowed: a mapping"),
        ({"concurrency": {"workers": 4}}, "unknown key 'resource_management.concurrency.workers'"),
        ({"concurrency": {"default_cpu_workers": 0}}, "allowed: auto or a whole number above 0"),
        ({"concurrency": {"default_cpu_workers": -1}}, "allowed: auto or a whole number above 0"),
        ({"concurrency": {"default_cpu_workers": 1.5}}, "allowed: auto or a whole number above 0"),
        ({"concurrency": {"default_io_workers": "many"}}, "allowed: auto or a whole number above 0"),
        ({"concurrency": {"default_io_workers": True}}, "allowed: auto or a whole number above 0"),
        ({"concurrency": {"max_total_workers": 0}}, "allowed: null or a whole number above 0"),
        ({"concurrency": {"max_total_workers": "none"}}, "allowed: null or a whole number above 0"),
    ],
)
def test_resource_management_refuses_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        managed(**values)


def test_changed_settings_say_so_and_leave_the_former_alone() -> None:
    former = managed(monitoring_interval=15)
    changed = former.changed({"resource_management.monitoring_interval": 5})
    assert former.get("resource_management.monitoring_interval") == 15
    assert changed.explain("resource_management.monitoring_interval") == Value(5, "program", ((15, "mapping"),))
    with pytest.raises(SettingsError, match=r"'plugins\.file\.roots' cannot be changed while the program runs"):
        former.changed({"plugins.file.roots": []})
    with pytest.raises(SettingsError, match="monitoring_interval = -1"):
        former.changed({"resource_management.monitoring_interval": -1})
