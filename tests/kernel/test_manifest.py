"""What `plugin.toml` may say, and the sentence each mistake is answered with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework import manifest
from framework.errors import ManifestError
from framework.manifest import Permission
from framework.records import PluginMetadata, PluginType

GOOD = 'schema = 1\napi = 1\nname = "sample"\ntype = "provider"\n'
FULL = """
schema = 1
api = 1
name = "sample"
type = "storage"
requires = ["file", "executor.thread>=0.1,<1"]
after = ["survey"]
settings = "plugin_sample.settings:SampleSettings"
description = "Says what it is."
version = "2.1"
author = "Somebody"

[provides]
kinds = ["sample.b", "sample.a"]
commands = ["sample"]
services = ["SampleService"]
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
    assert (built.api, built.distribution, built.path) == (1, "plugin-sample", "/x/plugin.toml")
    assert built.requires == ("file", "executor.thread>=0.1,<1")
    assert built.after == ("survey",)
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


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        (GOOD + 'requirs = ["x"]', ["unknown key 'requirs'", "Did you mean 'requires'?"]),
        (GOOD + "zzz = 1", ["unknown key 'zzz'", "allowed: schema, api, provides"]),
        (GOOD + '[provides]\nkind = ["x"]', ["unknown key 'kind'", "Did you mean 'kinds'?"]),
        ('api = 1\nname = "s"\ntype = "provider"', ["lacks the key 'schema'"]),
        ('schema = 1\nname = "s"\ntype = "provider"', ["lacks the key 'api'"]),
        ('schema = 1\napi = 1\ntype = "provider"', ["lacks the key 'name'"]),
        ('schema = 1\napi = 1\nname = "s"', ["lacks the key 'type'"]),
        (GOOD.replace("schema = 1", "schema = 2"), ["schema = 2", "understands 1", "go together"]),
        (GOOD.replace("schema = 1", "schema = true"), ["schema = True", "understands 1"]),
        (GOOD.replace("api = 1", 'api = "1"'), ["api = '1'", "understands 1"]),
        (GOOD.replace("api = 1", "api = 7"), ["api = 7", "understands 1"]),
        (GOOD.replace('"sample"', "3"), ["name = 3", "a text that is not empty"]),
        (GOOD.replace('"sample"', '" "'), ["name = ' '", "a text that is not empty"]),
        (GOOD.replace('"provider"', '"gadget"'), ["type = 'gadget'", "provider, processor, storage, monitor"]),
        (GOOD.replace('"provider"', '["provider"]'), ["type = ['provider']", "a text that is not empty"]),
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
    with pytest.raises(ManifestError, match="lacks the key 'schema'"):
        manifest.read(str(tmp_path / "plugin.toml"))


def test_a_file_without_read_permission_is_refused_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "plugin.toml"
    file.write_text(GOOD)
    file.chmod(0)
    tmp_path.chmod(0o755)
    # root reads everything, so a child that is nobody reads; relative, because the parents' doors are closed to it
    code = (
        "import os, sys\n"
        "from framework import manifest\n"
        "import tomllib, difflib\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: manifest.read(sys.argv[1])\n"
        "except manifest.ManifestError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, file.name], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "cannot be read: Permission denied" in done.stdout
