"""What `plugin.toml` may say, and the sentence each mistake is answered with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from framework import manifest, manifest_schema
from framework.errors import ManifestError
from framework.manifest import Permission
from framework.records import PluginMetadata, PluginType

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "reference" / "plugin.schema.json"
GOOD = 'schema = 1\napi = 1\nname = "sample"\ntype = "provider"\n'
FULL = """
schema = 1
api = 1
name = "sample"
type = "storage"
requires = ["file", "executor.thread>=0.1,<1"]
optional = ["cache >= 2"]
after = ["survey"]
before = ["report", "memory"]
conflicts = ["old-sample", "sample.c"]
activation = "use"
stability = "beta"
settings = "plugin_sample.settings:SampleSettings"
description = "Says what it is."
version = "2.1"
author = "Somebody"

[provides]
kinds = ["sample.b", "sample.a"]
commands = ["sample"]
services = ["SampleService", "sample"]
strategies = ["sampled"]

[[permissions]]
name = "shared-memory"
reason = "creates segments"

[[permissions]]
name = "network"
reason = "listens on loopback"
"""


def read(tmp_path: Path, content: str | bytes) -> dict[str, object]:
    folder = tmp_path / "plugin_sample"
    folder.mkdir()
    file = folder / manifest.FILE_NAME
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return manifest.read(str(file))


def test_every_field_survives_reading_and_building(tmp_path: Path) -> None:
    content = read(tmp_path, FULL)
    built = manifest.build(
        content, path="/x/plugin.toml", entry_point="plugin_sample.plugin:Sample", distribution="plugin-sample"
    )
    assert (built.name, built.type, built.version, built.description, built.author) == (
        "sample",
        "storage",
        "2.1",
        "Says what it is.",
        "Somebody",
    )
    assert (built.api, built.distribution, built.path) == ("1", "plugin-sample", "/x/plugin.toml")
    assert built.requires == ("file", "executor.thread>=0.1,<1")
    assert (built.optional, built.after, built.before) == (("cache >= 2",), ("survey",), ("report", "memory"))
    assert built.conflicts == ("old-sample", "sample.c")
    assert (built.activation, built.stability) == ("use", "beta")
    assert built.settings == "plugin_sample.settings:SampleSettings"
    assert built.capabilities == ("SampleService", "sample", "sample.a", "sample.b", "sampled")
    assert built.provides["kinds"] == ("sample.b", "sample.a")
    assert built.permissions == (
        Permission("shared-memory", "creates segments"),
        Permission("network", "listens on loopback"),
    )
    assert built.metadata() == PluginMetadata(
        "sample",
        "2.1",
        "Says what it is.",
        "Somebody",
        ["file", "executor.thread>=0.1,<1"],
        PluginType.STORAGE,
        "plugin_sample.plugin.Sample",
    )


def test_the_distribution_fills_only_what_the_file_leaves_out(tmp_path: Path) -> None:
    content = read(tmp_path, GOOD + 'version = "9"\n')
    built = manifest.build(
        content, path="p", entry_point="m:C", distribution="d", version="1", description="from outside", author="A"
    )
    assert (built.version, built.description, built.author) == ("9", "from outside", "A")
    assert (built.requires, built.after, built.provides, built.permissions) == ((), (), {}, ())
    assert (built.optional, built.before, built.conflicts) == ((), (), ())
    assert (built.activation, built.stability) == ("startup", "stable")


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        (GOOD + 'requirs = ["x"]', ["unknown key 'requirs'", "Did you mean 'requires'?"]),
        (GOOD + "zzz = 1", ["unknown key 'zzz'", "allowed: schema, api, name"]),
        (GOOD + '[provides]\nkind = ["x"]', ["unknown key 'kind'", "Did you mean 'kinds'?"]),
        ('api = 1\nname = "s"\ntype = "provider"', ["lacks the key 'schema'"]),
        ('schema = 1\nname = "s"\ntype = "provider"', ["lacks the key 'api'"]),
        ('schema = 1\napi = 1\ntype = "provider"', ["lacks the key 'name'"]),
        ('schema = 1\napi = 1\nname = "s"', ["lacks the key 'type'"]),
        (GOOD.replace("schema = 1", "schema = 2"), ["schema = 2", "understands 1", "go together"]),
        (GOOD.replace("schema = 1", "schema = true"), ["schema = True", "understands 1"]),
        (GOOD.replace("api = 1", 'api = "1"'), ["api = '1'", "a number, or a text with a range", "'>=1,<3'"]),
        (GOOD.replace("api = 1", "api = 7"), ["api = 7", "understands 1"]),
        (GOOD.replace('"sample"', "3"), ["name = 3", "a text that is not empty"]),
        (GOOD.replace('"sample"', '" "'), ["name = ' '", "a text that is not empty"]),
        (GOOD.replace('"provider"', '"gadget"'), ["type = 'gadget'", "provider, processor, storage, monitor"]),
        (GOOD.replace('"provider"', '["provider"]'), ["type = ['provider']", "provider, processor, storage, monitor"]),
        (GOOD + "version = 1.0", ["version = 1.0", "a text that is not empty"]),
        (GOOD + 'settings = "plugin_sample.settings"', ["settings = 'plugin_sample.settings'", "module:object"]),
        (GOOD + 'requires = "file"', ["requires = 'file'", "a list of texts"]),
        (GOOD + "after = [1]", ["after = [1]", "a list of texts"]),
        (GOOD + 'after = [""]', ["after = ['']", "a list of texts"]),
        (GOOD + 'provides = ["x"]', ["provides = ['x']", "a table of lists"]),
        (GOOD + '[provides]\nkinds = "x"', ["provides.kinds = 'x'", "a list of texts"]),
        (GOOD + "permissions = 1", ["permissions", "exactly a name and a reason"]),
        (GOOD + '[[permissions]]\nname = "x"', ["permissions", "exactly a name and a reason"]),
        (GOOD + '[[permissions]]\nname = "x"\nreason = 1', ["permissions", "exactly a name and a reason"]),
        (GOOD + f'description = ["{"x" * 5000}"]', ["description = ['xxx", "..."]),
        (GOOD.replace("api = 1", 'api = ">=2,<9"'), ["api = '>=2,<9'", "understands 1", "go together"]),
        (GOOD.replace("api = 1", 'api = ">=one"'), ["api = '>=one'", "a text with a range"]),
        (GOOD.replace("api = 1", 'api = ""'), ["api = ''", "a text with a range"]),
        (GOOD.replace("api = 1", "api = 1.0"), ["api = 1.0", "a number"]),
        (GOOD.replace("api = 1", "api = true"), ["api = True", "a number"]),
        (GOOD.replace('"sample"', '"../sample"'), ["name = '../sample'", "letters, digits"]),
        (GOOD.replace('"sample"', '"sam/ple"'), ["name = 'sam/ple'", "letters, digits"]),
        (GOOD.replace('"sample"', "'sam\\ple'"), ["name = 'sam", "letters, digits"]),
        (GOOD.replace('"sample"', '".."'), ["name = '..'", "a letter or digit first"]),
        (GOOD.replace('"sample"', '"sample\\n"'), ["name = 'sample\\n'", "letters, digits"]),
        (GOOD.replace('"sample"', f'"{"s" * 101}"'), ["name = 'sss", "at most 100"]),
        (GOOD + '[provides]\nkinds = ["a/b"]', ["provides.kinds = ['a/b']", "each a name"]),
        (GOOD + 'requires = ["../x>=1"]', ["requires = ['../x>=1']", "each a name with an optional range"]),
        (GOOD + 'requires = ["x>=1/2"]', ["requires = ['x>=1/2']", "'file>=0.1,<1'"]),
        (GOOD + 'requires = ["x", "y", "x"]', ["requires = ['x', 'y', 'x']", "names 'x' more than once"]),
        (GOOD + 'optional = "x"', ["optional = 'x'", "a list of texts"]),
        (GOOD + "optional = [2]", ["optional = [2]", "a list of texts"]),
        (GOOD + 'before = ["x>=1"]', ["before = ['x>=1']", "each a name of letters"]),
        (GOOD + 'conflicts = ["x y"]', ["conflicts = ['x y']", "each a name of letters"]),
        (GOOD + 'conflicts = ["sample"]', ["names the plugin 'sample' itself under conflicts"]),
        (GOOD + 'optional = ["sample>=1"]', ["names the plugin 'sample' itself under optional"]),
        (GOOD + 'requires = ["x>=1"]\nconflicts = ["x"]', ["'x' under requires and under conflicts"]),
        (GOOD + 'after = ["x"]\nbefore = ["x"]', ["'x' under after and under before"]),
        (GOOD + '[provides]\nservices = ["A", "A"]', ["provides.services = ['A', 'A']", "names 'A' more than once"]),
        (GOOD + 'activation = "lazy"', ["activation = 'lazy'", "startup, use"]),
        (GOOD + "activation = true", ["activation = True", "startup, use"]),
        (GOOD + 'stability = ""', ["stability = ''", "experimental, beta, stable, deprecated"]),
        (GOOD + 'activaton = "use"', ["unknown key 'activaton'", "Did you mean 'activation'?"]),
        (GOOD + '[[permissions]]\nname = ""\nreason = "x"', ["permissions", "exactly a name and a reason"]),
        (GOOD.encode("utf-16"), ["is not UTF-8: byte 0xff at offset 0"]),
        ("name = ", ["is not TOML"]),
        (GOOD + GOOD, ["is not TOML"]),
        ("x = " + "[" * 100_000, ["is not TOML"]),
        ("schema = " + "9" * 5000, ["is not TOML"]),
        (b'name = "\xff"', ["is not UTF-8: byte 0xff at offset 8"]),
        ("#" * (manifest.SIZE_LIMIT + 1), ["is larger than 1048576 bytes"]),
        ("", ["lacks the key 'schema'"]),
    ],
)
def test_a_mistake_is_named_with_its_file_and_what_is_allowed(
    tmp_path: Path, content: str | bytes, sentences: list[str]
) -> None:
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, content)
    text = str(caught.value)
    assert all(sentence in text for sentence in ["plugin_sample/plugin.toml", *sentences]), text
    assert len(text) < 600
    assert caught.value.plugin == "plugin_sample"


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD + "#" * (manifest.SIZE_LIMIT - len(GOOD)))["name"] == "sample"


def test_a_directory_and_a_missing_file_are_refused_with_their_reason(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="Is a directory") as caught:
        manifest.read(str(tmp_path))
    assert isinstance(caught.value.__cause__, IsADirectoryError)
    with pytest.raises(ManifestError, match="No such file or directory"):
        manifest.read(str(tmp_path / "plugin.toml"))


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plugin.toml")
    with pytest.raises(ManifestError, match="is not a regular file"):
        manifest.read(str(tmp_path / "plugin.toml"))


def test_a_link_to_an_endless_device_is_refused_and_closed(tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").symlink_to("/dev/zero")
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(ManifestError, match="is not a regular file"):
        manifest.read(str(tmp_path / "plugin.toml"))
    assert set(os.listdir("/dev/fd")) == before


def test_a_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    with (tmp_path / "plugin.toml").open("wb") as file:
        file.truncate(10 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ManifestError, match="is larger than 1048576 bytes"):
            manifest.read(str(tmp_path / "plugin.toml"))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("api", ["1", '">=1,<3"', '"~=1.0"', '"==1"', '" >=1"'])
def test_an_interface_version_that_fits_is_kept_as_text(tmp_path: Path, api: str) -> None:
    content = read(tmp_path, GOOD.replace("api = 1", f"api = {api}"))
    assert manifest.build(content, path="p", entry_point="m:C").api == api.strip('"')


def test_a_manifest_without_ranges_does_not_import_packaging() -> None:
    code = (
        "import sys\n"
        "from framework import manifest\n"
        f"manifest.parse({GOOD.encode()!r}, 'x/plugin.toml')\n"
        "assert 'packaging' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_published_schema_is_the_one_that_the_check_uses() -> None:
    with open(SCHEMA_FILE, encoding="utf-8") as file:
        assert json.load(file) == manifest_schema.json_schema()


@pytest.mark.parametrize("key", sorted(manifest_schema.KEYS))
def test_a_schema_allows_what_the_check_allows(key: str) -> None:
    one = manifest_schema.KEYS[key]
    samples = [1, True, "", " ", "x", "a/b", "x>=1", ">=1", "m.n:Class", "use", "beta", "provider", [], ["x"], [""]]
    for value in samples:
        assert one.fits(value) == _valid(one.schema, value), value


def _valid(schema: Mapping[str, Any], found: object) -> bool:
    """Return what a validator says, for the few words of JSON schema that we use."""
    if "const" in schema:
        return type(found) is int and found == schema["const"]
    if "enum" in schema:
        return found in schema["enum"]
    if "anyOf" in schema:
        return any(_valid(one, found) for one in schema["anyOf"])
    if schema["type"] == "string":
        return isinstance(found, str) and re.search(schema["pattern"], found) is not None
    if schema["type"] == "integer":
        return type(found) is int and found >= schema["minimum"]
    return isinstance(found, list) and all(_valid(schema["items"], one) for one in found)


def test_a_file_without_read_permission_is_refused_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "plugin.toml"
    file.write_text(GOOD)
    file.chmod(0)
    tmp_path.chmod(0o755)
    # root reads everything, so a child that is nobody reads; relative, because the parents' doors are closed to it, and
    # after a first try, because so may be those of the modules that a refusal imports
    code = (
        "import os, sys\n"
        "from framework import errors, manifest\n"
        "def read(name):\n"
        "    try: manifest.read(name)\n"
        "    except errors.ManifestError as error: return error\n"
        "read('missing.toml')\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "print(read(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, file.name], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "cannot be read: Permission denied" in done.stdout
