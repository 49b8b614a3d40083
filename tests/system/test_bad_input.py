"""What users get wrong: one clear sentence, a documented exit code, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]
Prepare = Callable[[Path, Path, Install], None]

GROUP = "[framework.plugins]\n"


@dataclass(frozen=True)
class Case:
    """What the user did, and what the program must answer: the subject's name, and a way out."""

    did: str
    prepare: Prepare
    arguments: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    stream: str = "stderr"


def config(text: str | bytes) -> Prepare:
    def prepare(site: Path, home: Path, install: Install) -> None:
        (home / "framework.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return prepare


def plugins(text: str, **installed: dict[str, object]) -> Prepare:
    def prepare(site: Path, home: Path, install: Install) -> None:
        config(text)(site, home, install)
        for name, options in installed.items():
            install(site, name, **options)

    return prepare


def twins(site: Path, home: Path, install: Install) -> None:
    config("plugins: {twin: {}}")(site, home, install)
    install(site, "twin", distribution="plugin-left")
    install(site, "twin", distribution="plugin-right")


LIST = ("plugins", "list", "-o", "json")
START = ("plugins", "list", "--start", "-o", "json")
CHECK = ("config", "check")
KINDS = ("resources", "kinds")

FAILING = plugins("plugins: {bad: {}}", bad={"code": "import nowhere_at_all\n"})
TORN = plugins("plugins: {bad: {}}", bad={"manifest": "name = "})
NOTHING = plugins("plugins: {bad: {}}", bad={"entry_points": f"{GROUP}bad = plugin_nowhere:X\n"})
RING = plugins(
    "plugins: {left: {}, right: {}}", left={"extra": 'requires = ["right"]'}, right={"extra": 'requires = ["left"]'}
)
MISSING = plugins("plugins: {needy: {}}", needy={"extra": 'requires = ["absnet>=1"]'})

CASES = [
    Case(
        "asked for an unknown plugin",
        plugins("plugins: {}", memoir={}),
        ("plugins", "show", "memoire"),
        2,
        ("No plugin is called 'memoire'", "Did you mean 'memoir'?"),
    ),
    Case(
        "enabled an unknown plugin",
        plugins("plugins: {memoire: {}}", memoir={}),
        CHECK,
        2,
        ("Plugin 'memoire' is enabled, but not installed", "Did you mean 'memoir'?"),
    ),
    Case(
        "enabled a plugin whose import fails",
        FAILING,
        KINDS,
        0,
        ("plugin 'bad' is failed", "Importing 'plugin_bad' failed", "nowhere_at_all", "Repair or disable the plugin"),
    ),
    Case(
        "listed a plugin whose import fails",
        FAILING,
        START,
        6,
        ("Importing 'plugin_bad' failed", "nowhere_at_all", "Repair or disable the plugin"),
        "stdout",
    ),
    Case(
        "installed two plugins with one name",
        twins,
        CHECK,
        2,
        ("Two plugins are called 'twin', from plugin-left and plugin-right", "Uninstall one of them"),
    ),
    Case(
        "listed two plugins with one name",
        twins,
        LIST,
        6,
        ("Two plugins are called 'twin'", "Uninstall one of them"),
        "stdout",
    ),
    Case("made a cycle of requirements", RING, CHECK, 2, ("'left' is part of the cycle", "left -> right -> left")),
    Case("listed a cycle of requirements", RING, LIST, 6, ("left -> right -> left",), "stdout"),
    Case(
        "left out what a plugin requires",
        MISSING,
        CHECK,
        2,
        ("Plugin 'needy' requires 'absnet'", "which no installed plugin is called or provides"),
    ),
    Case(
        "listed a plugin whose requirement is missing",
        MISSING,
        LIST,
        6,
        ("Plugin 'needy' requires 'absnet'",),
        "stdout",
    ),
    Case("tore a manifest", TORN, CHECK, 2, ("plugin_bad/plugin.toml is not TOML", "Correct the file, or uninstall")),
    Case("listed a torn manifest", TORN, LIST, 6, ("plugin_bad/plugin.toml is not TOML",), "stdout"),
    Case(
        "installed an entry point to nothing",
        NOTHING,
        CHECK,
        2,
        ("The entry point bad of plugin-bad names the module 'plugin_nowhere', which is not there",),
    ),
    Case(
        "wrote a configuration that is no mapping",
        config("- file\n- memory\n"),
        LIST,
        2,
        ("'framework.yaml' holds a list", "allowed: a mapping such as 'plugins: {}'"),
    ),
    Case(
        "saved the configuration in another encoding",
        config("plugins: {caf\u00e9: {}}".encode("latin-1")),
        LIST,
        2,
        ("'framework.yaml' is not UTF-8: byte 0xe9 at offset 13", "Save it as UTF-8"),
    ),
    Case(
        "misspelt a section",
        config("plugin: {}"),
        LIST,
        2,
        (
            "framework.yaml has the unknown key 'plugin'",
            "locked, logging, plugin_folders, plugins",
            "Did you mean",
        ),
    ),
    Case(
        "misspelt a nested key",
        config("logging: {levle: info}"),
        START,
        2,
        ("framework.yaml has the unknown key 'logging.levle'", "Did you mean 'logging.level'?"),
    ),
    Case(
        "wrote brackets without end",
        config("a: " + "[" * 100_000),
        LIST,
        2,
        ("'framework.yaml' is nested deeper than 50 levels", "Write it out flat"),
    ),
    Case(
        "named a configuration that does not exist",
        config(""),
        ("--config", "nowhere.yaml", "plugins", "list"),
        2,
        ("'nowhere.yaml' cannot be read: No such file or directory", "Correct --config"),
    ),
    Case(
        "named a directory as configuration",
        config(""),
        ("--config", ".", *START),
        2,
        ("'.' cannot be read: Is a directory", "Correct --config"),
    ),
    Case(
        "named a folder of plugins that does not exist",
        config("plugins: {}\nplugin_folders: [nowhere]"),
        LIST,
        0,
        ("nowhere' cannot be read: No such file or directory",),
        "stdout",
    ),
    Case(
        "forgot the value of a flag",
        config(""),
        ("--set", "plugins.file", *LIST),
        2,
        ("--set 'plugins.file' is malformed", "allowed: --set key.sub=value"),
    ),
    Case(
        "asked for an unknown command",
        config(""),
        ("plugin",),
        2,
        ("No such command 'plugin'", "Did you mean 'plugins'?"),
    ),
]


def files(*folders: Path) -> set[str]:
    """Return every file but those of the discovery index, which is a cache and may come and go."""
    found = {os.path.join(place, name) for folder in folders for place, _, names in os.walk(folder) for name in names}
    return {file for file in found if "/.cache/framework/discovery/" not in file}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.did.replace(" ", "-"))
def test_a_mistake_is_answered_with_one_clear_sentence(
    case: Case, program: Program, site: Path, home: Path, install: Install
) -> None:
    case.prepare(site, home, install)
    before = files(site, home)
    done = program(*case.arguments)
    assert done.returncode == case.code, done.stderr
    answer = done.stdout if case.stream == "stdout" else done.stderr
    assert all(part in answer for part in case.says), answer
    assert "Traceback" not in done.stderr
    assert files(site, home) == before
    if case.stream == "stderr" and case.code != 0:
        assert done.stdout == ""
        assert all(len(line) < 500 for line in done.stderr.splitlines())
        # the sentence itself comes last, and once for each thing that is wrong
        said = [line for line in done.stderr.splitlines() if re.match(r"framework: error: |Error: ", line)]
        assert said
        assert said == sorted(set(said), key=said.index)
        assert done.stderr.splitlines()[-1] == said[-1]


def test_a_broken_plugin_takes_nothing_from_the_others(
    program: Program, site: Path, home: Path, install: Install
) -> None:
    good = "from framework import Plugin\nclass Sample(Plugin): ...\n"
    install(site, "good", good)
    install(site, "bad", "raise SystemExit(9)")
    install(site, "torn", manifest="x = ")
    install(site, "needy", extra='requires = ["bad"]')
    config("plugins: {good: {}, bad: {}, torn: {}, needy: {}}")(site, home, install)
    done = program("plugins", "list", "--start")
    assert done.returncode == 6
    states = {line.split()[0]: line.split()[3] for line in done.stdout.splitlines() if line.startswith(("good", "bad"))}
    assert states == {"good": "active", "bad": "failed"}
    assert re.search(r"^needy .*blocked .*requires 'bad', which is failed", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stderr
