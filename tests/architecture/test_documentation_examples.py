"""What the documentation mentions exists, and what it shows works: commands, names, links, examples.

A page whose front matter says `plugins: [x]` is about plugins, and is left out where their directories are not there.
What the pages show is run by tests/system/test_tutorial.py.
"""

import ast
import builtins
import glob
import os
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import click
import pytest
import yaml

import framework
from framework import errors, manifest_schema
from framework.manifest import Manifest
from framework.plugins import loading
from framework.settings import Settings, validated

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FENCE = re.compile(r"^```(?P<language>.*)\n(?P<body>(?:.*\n)*?)^```$", re.MULTILINE)

Own = dict[str, Manifest]
Pages = dict[str, str]
Errors = dict[str, type[errors.FrameworkError]]


def read(*parts: str) -> str:
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def about(text: str) -> set[str]:
    """Return the plugins that a page is about, by its front matter."""
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return set(yaml.safe_load(front[1])["plugins"]) if front else set()


@pytest.fixture(scope="module")
def written(own: Own) -> Pages:
    """Return every page that is written by hand, by path from the root."""
    places = ["docs/**/*.md", "*.md", "core/*.md", "contrib/*.md", "plugins/*/README.md"]
    names = sorted({name for one in places for name in glob.glob(one, root_dir=ROOT, recursive=True)})
    skipped = ("docs/_build/", "docs/reference/_generated/", "docs/reference/plugins/")
    texts = {name: read(name) for name in names if not name.startswith(skipped) or name.endswith("plugins/index.md")}
    return {name: text for name, text in texts.items() if about(text) <= own.keys()}


def fences(pages: Pages, language: str) -> Iterator[tuple[str, str]]:
    for name, text in pages.items():
        for match in FENCE.finditer(text):
            if match["language"].removeprefix("{code-block}").strip() == language:
                yield name, re.sub(r"\A:caption: .*\n", "", match["body"])


def test_every_command_that_is_mentioned_exists(
    written: Pages, commands: dict[str, click.Command], own: dict[str, Manifest]
) -> None:
    offered, owners = dict(commands), dict[str, str]()
    for owner, plugin in ((one.name, loading.load(one)) for one in own.values() if one.provides.get("commands")):
        # also those of a plugin that is blocked, because a directory that it requires was deleted
        registered: list[click.Command] = getattr(plugin, "register_commands", list)()
        owners |= {one.name or "": owner for one in registered}
        offered |= {f"framework {one.name}": one for one in registered}
        for one in registered:
            offered |= {f"framework {one.name} {name}": below for name, below in getattr(one, "commands", {}).items()}
    known = {name: {option for one in command.params for option in one.opts} for name, command in offered.items()}
    runs = {name for name, command in offered.items() if getattr(command, "invoke_without_command", False)}
    wrong = []
    for name, text in written.items():
        for line in re.findall(r"^(?:\$ )?(?:\S+=\S+ )*(framework .+)$|`(framework [^`]+)`", text, re.MULTILINE):
            words = re.split(r" [|>] ", line[0] or line[1])[0].split()
            wrong += [f"{name}: {' '.join(words)}: {fault}" for fault in _faults(list(words), known, runs)]
            owner = owners.get("".join(words[1:2]), "")
            if owner and owner not in about(text) and not name.startswith(f"plugins/{owner}/"):
                # it would be wrong as soon as that plugin's directory was deleted
                wrong.append(f"{name}: {' '.join(words)}: is {owner}'s, which the page's front matter does not name")

    assert wrong == []


def test_every_error_and_every_public_name_that_is_mentioned_exists(written: Pages, error_classes: Errors) -> None:
    known = error_classes.keys() | vars(builtins).keys()
    wrong = []
    for name, text in written.items():
        wrong += [(name, one) for one in re.findall(r"`(\w+Error)`", text) if one not in known]
        imported = re.findall(r"^from framework import (?:\(([\w, \n]+)\)|([\w, ]+))$", text, re.MULTILINE)
        names = [one.strip() for several in imported for one in "".join(several).split(",")]
        names += re.findall(r"`framework\.([A-Z]\w+)`", text)
        wrong += [(name, one) for one in names if one and one not in framework.__all__]

    assert wrong == []


def test_every_kind_that_is_mentioned_exists(written: Pages, own: Own) -> None:
    kinds = {kind for one in own.values() for kind in one.provides.get("kinds", ())}
    families = "|".join(sorted({kind.partition(".")[0] for kind in kinds}))
    wrong = []
    for name, text in written.items():
        said = re.findall(rf"acquire\(\s*\"((?:{families})\.\w+)\"", text)
        said += [one for one in re.findall(rf"`((?:{families})\.[a-z]+)`", text) if not _attribute(one, text)]
        wrong += [(name, one) for one in said if one not in kinds]

    assert wrong == []


def test_every_relative_link_leads_somewhere(written: Pages) -> None:
    wrong = []
    for name, text in written.items():
        for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", FENCE.sub("", text)):
            file = os.path.normpath(os.path.join(os.path.dirname(name), target))
            if not os.path.exists(os.path.join(ROOT, file)):
                wrong.append((name, target))

    assert wrong == []


def test_every_yaml_example_is_a_configuration_that_loads(written: Pages, own: Own) -> None:
    examples = list(fences(written, "yaml"))

    assert examples
    for _, text in examples:
        _check_configuration(yaml.safe_load(text), own)


def test_every_toml_example_is_a_manifest_or_a_configuration_that_loads(written: Pages, own: Own) -> None:
    examples = list(fences(written, "toml"))

    assert examples
    for name, text in examples:
        content = tomllib.loads(text)
        if "schema" in content:
            manifest_schema.check(content, name)
        elif "project" not in content:
            _check_configuration(content, own)


def test_every_python_example_compiles(written: Pages) -> None:
    for name, text in fences(written, "python"):
        compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_every_fragment_has_a_name_that_is_collected() -> None:
    types = "|".join(one["directory"] for one in tomllib.loads(read("pyproject.toml"))["tool"]["towncrier"]["type"])
    names = set(os.listdir(os.path.join(ROOT, "docs", "changelog"))) - {"README.md", "index.md"}

    assert [name for name in names if not re.fullmatch(rf"\d+\.({types})(\.\d+)?\.md", name)] == []
    assert "<!-- towncrier release notes start -->\n" in read("CHANGELOG.md")


def _check_configuration(content: dict[str, Any], own: Own) -> None:
    loaded = Settings.load(content, environ={})
    for plugin in own.keys() & (loaded.plugins or {}).keys():
        model = own[plugin].settings
        assert model or not loaded.section(plugin), plugin
        if model:
            validated(loaded.section(plugin), loading.load_object(model, plugin), plugin)


def _faults(words: list[str], known: dict[str, set[str]], runs: set[str]) -> Iterator[str]:
    """Return what is wrong with a command line: a command or an option that there is not.

    After a command of `runs`, which has commands below it and does something itself, a word may be an argument too.
    """
    path = words.pop(0)
    while words:
        word = words.pop(0).rstrip(".,;")
        if word.startswith("-"):
            option = word.partition("=")[0]
            if option not in known[path] | {"-h", "--help"}:
                yield f"{path} has no option {option}"
            if option in {"--set", "--config"} and words:
                words.pop(0)
        elif f"{path} {word}" in known:
            path = f"{path} {word}"
        elif path not in runs and any(one.startswith(f"{path} ") for one in known) and word not in {"COMMAND", "…"}:
            yield f"{path} has no command {word}"


def _attribute(name: str, text: str) -> bool:
    """Return whether a dotted name is an attribute of something lent in an example, as in `memory.segment`."""
    return re.search(rf"\) as {name.partition('.')[0]}\b", text) is not None
