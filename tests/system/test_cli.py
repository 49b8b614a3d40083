"""The `framework` program, run as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import framework
from framework.cli import output

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]

SCRIPT = os.path.join(os.path.dirname(sys.executable), "framework")
HEAVY = ("pydantic", "opentelemetry", "rich", "structlog", "asyncio", "anyio", "importlib.metadata")

LENDS = """
from pydantic import BaseModel, Field
from framework import Plugin, Resource, ResourceProvider, creates, hookimpl

class Deep(BaseModel):
    depth: int = 1

class Model(BaseModel, extra="forbid"):
    size: int = Field(1, description="How big.")
    deep: Deep = Deep()

class Thing(Resource):
    async def _close(self): ...

class Provider(ResourceProvider):
    @creates("thing.any")
    async def make(self, name: str, size: int = 0, *, colour: str) -> Thing:
        \"\"\"Make a thing.\"\"\"
        return Thing()

class Sample(Plugin):
    @hookimpl
    def register_resource_providers(self):
        return [Provider()]
"""
SAYS = """
import click
from framework import Plugin, hookimpl

@click.group("greet", invoke_without_command=True)
@click.pass_context
def greet(ctx):
    if ctx.invoked_subcommand is None:
        ctx.obj.emit([{"who": "all"}])

@greet.command("all")
@click.pass_obj
def everybody(context):
    context.message("greeting")
    context.emit([{"who": "you", "many": 2}, {"who": "me", "many": 1}], columns=("who", "many"))

@greet.command("nobody")
@click.pass_obj
def nobody(context):
    context.emit([])

@greet.command("fails")
def fails():
    from framework.errors import ResourceLimitError
    raise ExceptionGroup("some", [ResourceLimitError("Too much.", "Ask for less.")])

class Sample(Plugin):
    @hookimpl
    def register_commands(self):
        return [greet]
"""


def configure(home: Path, content: str) -> None:
    (home / "framework.yaml").write_text(content)


def good(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def rows(done: Done) -> Any:
    return json.loads(good(done))


@pytest.fixture
def lends(site: Path, home: Path, install: Install) -> None:
    extra = 'settings = "plugin_lends:Model"\n[provides]\nkinds = ["thing.any"]'
    install(site, "lends", LENDS, extra=extra, metadata="Summary: Lends «things».\n")
    configure(home, "plugins: {lends: {size: 3}}\n")


@pytest.fixture
def says(site: Path, home: Path, install: Install) -> None:
    install(site, "says", SAYS, extra='[provides]\ncommands = ["greet"]')
    configure(home, "plugins: {says: {}}\n")


def test_version_and_help_are_printed(program: Program) -> None:
    assert good(program("--version")) == f"framework, version {framework.__version__}\n"
    text = good(program("--help"))
    assert good(program("-h")) == text
    assert all(noun in text for noun in ("plugins", "resources", "config", "completion", "--config", "--set"))
    for noun in ("plugins", "resources", "config"):
        assert "Commands:" in good(program(noun, "--help"))
    assert "-o, --output" in good(program("plugins", "list", "--help"))


@pytest.mark.parametrize("style", output.FORMATS)
def test_no_format_shows_what_a_terminal_would_obey(style: str) -> None:
    rows = [{"name": "turned \u202e escaped \x1b[31m", "other": "ä"}]
    text = output.render(rows, style)
    assert text.replace("\n", "").isprintable()
    if style == output.YAML:
        assert yaml.safe_load(text) == rows


@pytest.mark.usefixtures("lends")
def test_the_list_of_plugins_reads_back_equal_in_every_format(program: Program) -> None:
    listed = rows(program("plugins", "list", "-o", "json"))
    assert [json.loads(line) for line in good(program("plugins", "list", "-o", "ndjson")).splitlines()] == listed
    assert yaml.safe_load(good(program("plugins", "list", "-o", "yaml"))) == listed
    assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)
    (lends,) = [one for one in listed if one["name"] == "lends"]
    expected = {
        "name": "lends",
        "version": "1.0",
        "type": "provider",
        "state": "discovered",
        "provides": ["thing.any"],
        "requires": [],
        "distribution": "plugin-lends",
        "description": "Lends «things».",
        "reason": "",
    }
    assert {key: lends[key] for key in expected} == expected
    head, *table = good(program("plugins", "list")).splitlines()
    assert head.split() == ["NAME", "VERSION", "TYPE", "STATE", "PROVIDES", "REQUIRES", "DISTRIBUTION", "REASON"]
    assert [line.split()[0] for line in table] == [one["name"] for one in listed]


@pytest.mark.usefixtures("lends")
def test_started_plugins_show_the_state_they_reach(program: Program) -> None:
    listed = {one["name"]: one["state"] for one in rows(program("plugins", "list", "--start", "-o", "json"))}
    assert listed.pop("lends") == "active"
    assert set(listed.values()) <= {"disabled"}


@pytest.mark.usefixtures("lends")
def test_one_plugin_is_shown_with_its_manifest(program: Program, site: Path) -> None:
    shown = rows(program("plugins", "show", "lends", "-o", "json"))
    assert (shown["author"], shown["settings"], shown["api"]) == ("", "plugin_lends:Model", "1")
    assert shown["manifest"] == str(site / "plugin_lends" / "plugin.toml")
    assert shown["provides"] == {"kinds": ["thing.any"]}
    table = dict(line.split(maxsplit=1) for line in good(program("plugins", "show", "lends")).splitlines())
    assert table["entry_point"] == "plugin_lends:Sample"


@pytest.mark.usefixtures("lends")
def test_kinds_are_listed_with_their_parameters(program: Program) -> None:
    (kind,) = rows(program("resources", "kinds", "-o", "json"))
    assert (kind["kind"], kind["plugin"], kind["description"]) == ("thing.any", "lends", "Make a thing.")
    assert [one["name"] for one in kind["parameters"] if one["required"]] == ["colour"]
    assert good(program("resources", "kinds")).splitlines()[1].split() == [
        "thing.any",
        "lends",
        "[name]",
        "[size]",
        "colour",
        "Make",
        "a",
        "thing.",
    ]


def test_no_rows_are_no_lines(program: Program, home: Path) -> None:
    configure(home, "plugins: {}\n")
    assert good(program("resources", "kinds", "-o", "ndjson")) == ""
    assert rows(program("resources", "kinds", "-o", "json")) == []
    assert yaml.safe_load(good(program("resources", "kinds", "-o", "yaml"))) == []


@pytest.mark.usefixtures("lends")
def test_the_configuration_is_shown_with_its_sources_and_explained(program: Program) -> None:
    shown = {one["key"]: one for one in rows(program("--set", "logging.level=info", "config", "show", "-o", "json"))}
    assert shown["plugins.lends.size"] == {"key": "plugins.lends.size", "value": 3, "source": "framework.yaml"}
    assert shown["logging.level"]["source"] == "flag --set logging.level"
    assert shown["logging.style"] == {"key": "logging.style", "value": "console", "source": "default"}
    assert "plugins" not in shown
    found = rows(
        program("config", "explain", "logging.level", "-o", "json", FRAMEWORK__LOGGING__LEVEL="error"),
    )
    assert (found["value"], found["default"]) == ("error", "warning")
    assert found["source"] == "environment FRAMEWORK__LOGGING__LEVEL" == f"environment {found['environment']}"
    over = rows(program("--set", "plugins.lends.size=4", "config", "explain", "plugins.lends.size", "-o", "json"))
    assert over["overridden"] == ["3 from framework.yaml"]


@pytest.mark.usefixtures("lends")
def test_the_configuration_is_checked_down_to_each_plugins_settings(program: Program, home: Path) -> None:
    done = program("config", "check")
    assert (done.returncode, done.stdout) == (0, "")
    assert "the configuration is right" in done.stderr
    configure(home, "plugins: {lends: {sise: 3}, absent: {}}\n")
    done = program("config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert "'absent' is enabled, but not installed" in first
    assert "unknown key 'plugins.lends.sise'" in second
    assert "Did you mean 'size'?" in second


def test_a_plugin_that_a_disabled_one_blocks_makes_the_configuration_wrong(
    program: Program, site: Path, home: Path, install: Install
) -> None:
    install(site, "base")
    install(site, "needy", extra='requires = ["base"]')
    configure(home, "plugins: {needy: {}}\n")
    done = program("config", "check")
    assert done.returncode == 2
    assert "'needy' requires 'base', but that plugin is disabled" in done.stderr


@pytest.mark.usefixtures("lends")
def test_every_reference_in_the_schema_can_be_followed(program: Program) -> None:
    schema = rows(program("config", "schema"))
    section = schema["properties"]["plugins"]["properties"]["lends"]["anyOf"][0]
    assert section["properties"]["size"]["description"] == "How big."
    assert section["properties"]["enabled"]["type"] == "boolean"
    assert section["properties"]["activation"]["enum"] == ["startup", "use"]
    text = json.dumps(schema)
    references = [part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]]
    assert references
    assert set(references) <= schema["$defs"].keys()
    assert yaml.safe_load(good(program("config", "schema", "-o", "yaml"))) == schema


@pytest.mark.usefixtures("says")
def test_a_plugins_command_runs_with_the_formats_and_errors_of_the_kernel(program: Program, home: Path) -> None:
    assert "greet" in good(program("--help"))
    assert json.loads(program("greet", "-o", "json").stdout) == [{"who": "all"}]
    done = program("greet", "all", "-o", "json")
    assert json.loads(done.stdout) == [{"who": "you", "many": 2}, {"who": "me", "many": 1}]
    assert (done.returncode, done.stderr) == (0, "greeting\n")
    assert program("greet", "all").stdout == "WHO  MANY\nyou  2\nme   1\n"
    assert good(program("greet", "nobody", "-o", "ndjson")) == ""
    done = program("greet", "fails")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "framework: error: Too much. Ask for less.\n"
    configure(home, "plugins: {}\n")
    done = program("greet", "all")
    assert done.returncode == 6
    assert "comes from plugin 'says', which is disabled" in done.stderr
    assert "`says: {}` under `plugins:`" in done.stderr
    assert "greet" not in good(program("--help"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(3)", "Importing 'plugin_says' failed: SystemExit: 3"),
        (SAYS.replace("return [greet]", "raise OSError('no')"), "cannot be had: OSError: no"),
        (SAYS.replace("return [greet]", "return [3]"), "registers no such command"),
        (SAYS.replace("return [greet]", "pass"), "cannot be had: TypeError"),
    ],
)
def test_a_command_of_a_broken_plugin_is_a_plugin_fault(
    program: Program, site: Path, home: Path, install: Install, code: str, said: str
) -> None:
    install(site, "says", code, extra='[provides]\ncommands = ["greet"]')
    configure(home, "plugins: {says: {}}\n")
    done = program("greet")
    assert done.returncode == 6
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("says")
def test_an_enabled_plugin_gives_the_command_that_a_disabled_one_has_too(
    program: Program, site: Path, install: Install
) -> None:
    install(site, "asays", "raise SystemExit", extra='[provides]\ncommands = ["greet"]')
    assert program("greet", "all").returncode == 0


def test_a_fault_in_what_nobody_enabled_is_shown_and_is_no_failure(
    program: Program, site: Path, home: Path, install: Install
) -> None:
    install(site, "torn", manifest="x = ")
    configure(home, "plugins: {}\n")
    (torn,) = [one for one in rows(program("plugins", "list", "-o", "json")) if one["name"] == "torn"]
    assert torn["state"] == "failed"
    configure(home, "plugins: {torn: {}}\n")
    assert program("plugins", "list").returncode == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["plugins", "nonsense"],
        ["plugins", "list", "--nonsense"],
        ["plugins", "list", "-o", "xml"],
        ["plugins", "show"],
        ["--config"],
        ["completion", "tcsh"],
        ["config", "explain", "nonsense"],
        ["--set", "nonsense", "plugins", "list"],
        ["--config", "", "plugins", "list"],
    ],
)
def test_wrong_usage_exits_with_2_and_prints_nothing_to_standard_output(program: Program, arguments: list[str]) -> None:
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_completion_scripts_are_printed_and_the_one_of_bash_completes(
    program: Program, environment: dict[str, str]
) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = good(program("completion", shell))
        assert "_FRAMEWORK_COMPLETE" in script
        assert rows(program("completion", shell, "-o", "json")) == {"shell": shell, "script": script[:-1]}
    probe = (
        'eval "$(framework completion bash)"\n'
        "COMP_WORDS=(framework plugins l); COMP_CWORD=2\n"
        '_framework_completion framework; echo "${COMPREPLY[@]}"\n'
        "COMP_WORDS=(framework co); COMP_CWORD=1\n"
        '_framework_completion framework; echo "${COMPREPLY[@]}"\n'
    )
    path = f"{os.path.dirname(SCRIPT)}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", probe], env={**environment, "PATH": path}, capture_output=True, text=True, check=True
    )
    plugins, top = done.stdout.splitlines()
    assert "list" in plugins.split()
    assert {"completion", "config"} <= set(top.split())


def shell(command: str, environment: dict[str, str], home: Path) -> Done:
    line = command.replace("framework ", f"'{SCRIPT}' ", 1)
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_reader_that_leaves_early_is_no_trouble(environment: dict[str, str], home: Path) -> None:
    # the flag makes the output larger than any pipe, so that it must break
    environment["FRAMEWORK__PLUGINS__X__LONG"] = "x" * 100_000
    done = shell("framework --set plugins.x.more=[$(seq -s, 15000)] config show -o json | head -1", environment, home)
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_standard_output_that_is_closed_or_full_is_survived(environment: dict[str, str], home: Path) -> None:
    (home / "framework.yaml").write_text("plugins: {}\n")
    done = shell("framework plugins list >&-", environment, home)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("plugins list", "--help"):
        for unbuffered in ("", "1"):
            done = shell(f"framework {command} > /dev/full", {**environment, "PYTHONUNBUFFERED": unbuffered}, home)
            assert done.stderr.startswith("framework: error: The output cannot be written: No space left on device.")
            assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = shell("framework plugins show nonsense 2>&-", environment, home)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.usefixtures("lends")
@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONIOENCODING": "ascii"},
        {"HOME": None},
        {"HOME": "/proc/nowhere", "USER": None, "TERM": "dumb", "COLUMNS": "20"},
    ],
)
def test_odd_surroundings_change_nothing_but_the_letters(program: Program, environ: dict[str, str | None]) -> None:
    done = program("plugins", "show", "lends", **environ)
    assert "plugin_lends:Sample" in good(done)
    assert {one["name"] for one in rows(program("plugins", "list", "-o", "json", **environ))} >= {"lends"}
    kinds = program("resources", "kinds", "-o", "yaml", **environ)
    assert yaml.safe_load(kinds.stdout)[0]["kind"] == "thing.any"
    # where nothing can be kept there is no quarantine, and whoever starts plugins is told so
    assert ("quarantine_unavailable" if environ.get("HOME") == "/proc/nowhere" else "") in kinds.stderr
    assert kinds.stderr.count("\n") == (environ.get("HOME") == "/proc/nowhere")


@pytest.mark.usefixtures("lends", "says")
def test_light_commands_import_nothing_heavy_and_no_plugin(environment: dict[str, str], home: Path) -> None:
    code = (
        "import sys\n"
        f"heavy = {HEAVY!r}\n"
        "def report(what):\n"
        "    plugins = [one for one in sys.modules if one.startswith('plugin_')]\n"
        "    found = [one for one in heavy if one in sys.modules]\n"
        "    print(what, found, plugins, file=sys.stderr)\n"
        "import framework\n"
        "report('import')\n"
        "if sys.argv[1:]:\n"
        "    from framework.cli import run\n"
        "    try: run(sys.argv[1:])\n"
        "    except SystemExit: pass\n"
        "    report('command')\n"
    )
    (home / "framework.yaml").write_text("plugins: {lends: {size: 3}, says: {}}\n")
    watch = ["resources", "watch", "--count", "1"]
    for arguments in (
        ["--version"], ["plugins", "list"], ["plugins", "show", "lends"], ["--help"], ["config", "show"],
        ["resources", "list"], ["resources", "reclaim"], watch,
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            cwd=home,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        assert done.stderr == "import [] []\ncommand [] []\n", arguments
