"""The reference is complete: nothing that exists is missing, and nothing is described that does not exist.

Pages are read as a reader sees them, with the generated parts in place.
"""

import ast
import enum
import functools
import glob
import html
import importlib
import os
import re
import sys
import tempfile
from typing import Any

import click
import pytest

import framework
from framework import errors, hookspecs, manifest_schema, settings, testing
from framework.host import LEASE_EVENTS, LEASES_HELD
from framework.manifest import Manifest
from framework.plugins import loading
from framework.testing import PERMISSIONS

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
INCLUDE = re.compile(r"^```\{include\} (\S+)\n(?:.*\n)*?```$", re.MULTILINE)
TEST = re.compile(r"`([\w/.-]+\.py)::(\w+)`")

Own = dict[str, Manifest]
Errors = dict[str, type[errors.FrameworkError]]


def read(*parts: str) -> str:
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


@functools.cache
def generated() -> dict[str, str]:
    """Return what the build generates, by path below docs/reference."""
    pages: dict[str, str] = _module("docs._generate").pages()
    return pages


def page(name: str) -> str:
    """Return a page of docs/ with what it includes."""

    def included(match: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join(os.path.dirname(name), match[1]))
        return generated().get(os.path.relpath(path, "reference")) or read("docs", path)

    return INCLUDE.sub(included, read("docs", name))


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} `(.+)`$", text, re.MULTILINE)


def first_cells(text: str) -> list[str]:
    """Return what is code in the first cell of each row of each table."""
    return [one for cell in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for one in re.findall(r"`([^`]+)`", cell)]


def test_every_hook_is_documented() -> None:
    specified = [name for name, item in vars(hookspecs).items() if hasattr(item, "framework_spec")]

    assert "register_resource_providers" in specified
    assert headings(page("reference/hooks.md"), 2) == specified


def test_every_setting_of_the_kernel_is_documented() -> None:
    table = page("reference/settings.md").partition("## Variables")[0]

    assert first_cells(table) == list(settings.KEYS)
    for key, one in settings.KEYS.items():
        assert one.doc in table, key


def test_every_command_and_option_is_documented(commands: dict[str, click.Command]) -> None:
    text = page("reference/cli.md")

    assert sorted(headings(text, 2)) == sorted(commands)
    for name, command in commands.items():
        section = text.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        shown = " ".join(re.findall(r"^- `([^`]+)`", section, re.MULTILINE))
        options = {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        assert set(re.findall(r"(?<!\S)--?\w[\w-]*", shown)) == options | {"-h", "--help"}, name
        assert [one for one in arguments if one.make_metavar(click.Context(command)) not in shown] == [], name


def test_every_event_span_and_metric_about_leases_is_documented() -> None:
    events, spans, metrics = re.split(r"^## (?:Spans|Metrics)$", page("reference/events.md"), flags=re.MULTILINE)
    files = glob.glob("core/src/framework/**/*.py", root_dir=ROOT, recursive=True)
    code = "\n".join(read(one) for one in files if "/testing/" not in one and "/cli/" not in one)
    told = {f"lease_{one}" for one in re.findall(r'\.(?:tell|_log)\("(\w+)"', code)}
    logged = set(re.findall(r'\.(?:debug|info|warning|error)\(\s*"((?:lease|journal|sweep|drain)_\w+)"', code))
    counted = set(re.findall(r'\.(?:counter|histogram)\("(\w+)"', code)) | {LEASES_HELD, LEASE_EVENTS}

    assert set(first_cells(events)) == told | logged
    assert set(first_cells(spans)) == set(re.findall(r'span\("(lease\.\w+)"', code))
    assert set(first_cells(metrics)) == counted


def test_every_error_is_documented_with_its_exit_code(error_classes: Errors) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `\w+` \| (\d+) \|", page("reference/errors.md"), re.MULTILINE)

    assert dict(rows) == {name: str(one.exit_code) for name, one in error_classes.items()}


def test_every_exit_code_is_documented(error_classes: Errors) -> None:
    codes = re.findall(r"^\| (\d+) \|", page("reference/cli.md"), re.MULTILINE)

    assert sorted(map(int, codes)) == sorted({0, 130, *(one.exit_code for one in error_classes.values())})


def test_every_public_name_is_documented() -> None:
    text = page("reference/api.md")

    assert headings(text, 2) == framework.__all__
    for name in framework.__all__:
        item = getattr(framework, name)
        assert item.__doc__, name
        if isinstance(item, type) and item.__module__.startswith("framework"):
            assert [one for one in _methods(item, "framework") if f"### `{name}.{one}`" not in text] == []


def test_every_name_that_a_plugin_exports_is_documented_with_its_methods(own: Own) -> None:
    for name, one in own.items():
        package = importlib.import_module(one.entry_point.partition(".")[0])
        text = generated()[f"plugins/{name}.md"]
        names = set(getattr(package, "__all__", ())) - {one.settings.partition(":")[2]}  # the model has a table
        exported = {each: getattr(package, each) for each in names}
        assert [each for each in exported if f"\n### `{each}`\n" not in text] == []
        methods = {f"{each}.{m}" for each, item in exported.items() for m in _methods(item, package.__name__)}
        assert [each for each in methods if f"\n#### `{each}`\n" not in text] == []


def test_every_kind_is_documented_with_its_parameters(own: Own) -> None:
    text = page("reference/kinds.md")
    promised = [kind for one in own.values() for kind in one.provides.get("kinds", ())]

    assert headings(text, 2) == sorted(promised)
    for section in text.split("\n## ")[1:]:
        assert "`name`" in section
        assert " |  |\n" not in section, f"a parameter without a meaning: {section}"


def test_every_plugin_has_a_page_with_all_its_settings_kinds_and_commands(own: Own) -> None:
    folders = [os.path.basename(one) for one in glob.glob(os.path.join(ROOT, "plugins", "*"))]

    assert sorted(name for name in generated() if name.startswith("plugins/")) == sorted(f"plugins/{n}.md" for n in own)
    assert set(folders) <= own.keys()
    for name, one in own.items():
        text = generated()[f"plugins/{name}.md"]
        keys = [f"`plugins.{name}.{field}`" for field in _fields(one)]
        assert [key for key in keys if key not in text] == []
        assert [offer for offer in one.capabilities if offer not in text] == []
        assert [each.reason for each in one.permissions if each.reason not in text] == []


def test_every_readme_of_a_plugin_names_its_settings_kinds_and_commands(own: Own) -> None:
    for name, one in own.items():
        text = read(os.path.join(os.path.dirname(one.path), "..", "..", "README.md"))
        assert [field for field in _fields(one) if f"`{field}`" not in text] == [], name
        assert [offer for offer in one.capabilities if offer not in text] == [], name
        for head, rows in re.findall(r"^\| (setting).*\n\|[-|: ]+\n((?:\|.*\n)+)", text, re.MULTILINE):
            assert set(first_cells(rows)) <= set(_fields(one)), (name, head)


def test_every_key_of_the_manifest_is_documented() -> None:
    keys, provides = page("reference/manifest.md").split("| key of `provides` |")

    assert sorted(first_cells(keys)) == sorted([*manifest_schema.KEYS, *manifest_schema.TABLES])
    assert sorted(first_cells(provides)) == sorted(manifest_schema.PROVIDES)


def test_every_permission_is_documented() -> None:
    section = page("reference/manifest.md").partition("## Permissions")[2].partition("\n## ")[0]

    assert re.findall(r"^\| ([a-z][a-z-]+) \|", section, re.MULTILINE) == ["permission", *PERMISSIONS]


def test_every_test_of_the_author_kit_is_documented() -> None:
    text = page("how-to/test-a-plugin.md")
    suites = [getattr(testing, name) for name in testing.__all__ if name.endswith("Contract")]
    tests = [name for suite in suites for name in dir(suite) if name.startswith("test_")]

    assert len(suites) == 5
    assert [name for name in tests if f"- **{name[5:].replace('_', ' ').capitalize()}.** " not in text] == []


def test_every_layer_of_the_kernel_is_in_the_table() -> None:
    text = read("docs", "explanation", "architecture.md")
    table = text.partition("| modules |")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"`(\w+)`", cell)) for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)]
    kernel = os.listdir(os.path.join(ROOT, "core", "src", "framework"))
    modules = {one.removesuffix(".py") for one in kernel if not one.startswith("__") and one != "py.typed"}

    assert set().union(*rows) == modules
    assert rows == _constant("tests/architecture/test_imports.py", "LAYERS")
    assert text.count("\n") <= 150


@pytest.mark.parametrize("name", ["architecture.md", "guarantees.md"])
def test_every_test_that_is_named_exists(name: str) -> None:
    text = read("docs", "explanation", name)
    tables = re.findall(r"^\| .* \| (?:held|guarded) by \|\n.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]

    assert rows
    for row in rows:
        named = TEST.search(row)
        assert named, row
        if os.path.isdir(os.path.join(ROOT, *named[1].split("/")[:2])):  # a plugin's directory may have been deleted
            assert named[2] in _functions(named[1]), row


def test_the_session_on_the_start_page_is_true_and_the_same_everywhere() -> None:
    if "_generated/session.svg" not in generated():
        pytest.skip("a plugin that the session uses is not there")
    text, drawn = generated()["_generated/session.txt"], generated()["_generated/session.svg"]
    shown = html.unescape(" ".join(re.findall(r"<text [^>]*>([^<]*)</text>", drawn))).split()

    assert text == _module("docs._session").transcript()
    assert shown[1:] == text.split()  # the first is the title of the window
    assert re.findall(r"(?:https?:)?//[\w.]+", drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")) == []
    assert [one for one in (ROOT, tempfile.gettempdir(), os.path.expanduser("~")) if f"{one}/" in text] == []
    assert "cannot be met" in text
    assert "duplicates  1 in 1 groups" in text


@pytest.mark.parametrize("section", ["how-to", "explanation", "tutorial"])
def test_every_page_of_a_section_is_in_its_table_and_in_that_order_in_the_menu(section: str) -> None:
    table, menu = read("docs", section, "index.md").split("```{toctree}")
    pages = {one[:-3] for one in os.listdir(os.path.join(ROOT, "docs", section)) if one.endswith(".md")} - {"index"}
    linked = list(dict.fromkeys(re.findall(r"\]\(([\w-]+)\.md\)", table)))

    assert set(linked) == pages
    assert re.findall(r"^[\w-]+$", menu, re.MULTILINE) == linked


def test_the_readme_names_every_plugin_that_there_is(own: Own) -> None:
    table = read("README.md").partition("| plugin |")[2].partition("\n\n")[0]

    assert own.keys() <= set(first_cells(table))


def test_every_nox_session_is_in_the_table() -> None:
    decorated = ast.walk(ast.parse(read("noxfile.py")))
    sessions = [
        n.name for n in decorated if isinstance(n, ast.FunctionDef) and "nox.session" in map(_dotted, n.decorator_list)
    ]
    table = read("CONTRIBUTING.md").partition("| session |")[2].partition("\n\n")[0]

    assert first_cells(table) == sessions


def test_every_benchmark_is_described() -> None:
    text = read("docs", "explanation", "benchmarks.md")
    files = glob.glob("tests/benchmarks/*.py", root_dir=ROOT)

    assert set(re.findall(r"`python (tests/benchmarks/\w+\.py)", text)) == set(files)


def _methods(item: object, package: str) -> set[str]:
    """Return the public methods of a class that it or a base of the same package defines."""
    if not isinstance(item, type) or issubclass(item, enum.Enum):
        return set()
    bases = [one for one in item.__mro__ if one.__module__.partition(".")[0] == package]
    fields = {name for one in bases for name in getattr(one, "__dataclass_fields__", ())}
    defined = {name: value for one in reversed(bases) for name, value in vars(one).items()}
    return {n for n, value in defined.items() if callable(value) and value.__doc__ and n[0] != "_" and n not in fields}


def _module(name: str) -> Any:
    sys.path.insert(0, ROOT)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(ROOT)


def _fields(one: Manifest) -> list[str]:
    return list(loading.load_object(one.settings, one.name).model_fields) if one.settings else []


def _constant(file: str, name: str) -> Any:
    for node in ast.parse(read(file)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    pytest.fail(f"{file} has no {name}")


@functools.cache
def _functions(file: str) -> set[str]:
    nodes = ast.walk(ast.parse(read(file)))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)
