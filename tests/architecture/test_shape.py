"""The shape of the tree: sizes, public names, versions, and what the root distribution lists."""

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

import framework

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FILE_LIMIT = 400
FUNCTION_LIMIT = 60
NAME_LIMIT = 33
KERNEL_LIMIT = 14936
"""Lines of the kernel without the command line and the test kit; the design aims at about 3,000."""


def _sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for place, names, files in os.walk(os.path.join(ROOT, folder)):
            names[:] = [name for name in names if name not in {"tests", ".venv", "__pycache__"}]
            yield from (os.path.join(place, name) for name in files if name.endswith(".py"))


def _members() -> list[str]:
    found = [os.path.join(ROOT, "core")]
    for kind in ("plugins", "contrib"):
        folder = os.path.join(ROOT, kind)
        found += [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    return [one for one in found if os.path.isfile(os.path.join(one, "pyproject.toml"))]


def _project(folder: str) -> dict[str, Any]:
    with open(os.path.join(folder, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)


def _lines(file: str) -> int:
    with open(file, encoding="utf-8") as stream:
        return sum(1 for _ in stream)


def test_no_file_is_too_long() -> None:
    assert [file for file in _sources("core/src", "plugins", "contrib") if _lines(file) > FILE_LIMIT] == []


def test_no_function_is_too_long() -> None:
    wrong = []
    for file in _sources("core/src", "plugins", "contrib"):
        with open(file, encoding="utf-8") as stream:
            tree = ast.parse(stream.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION_LIMIT:
                    wrong.append(f"{file}:{node.lineno} {node.name} has {length} lines")

    assert wrong == []


def test_the_kernel_stays_small() -> None:
    outer = tuple(os.path.join(ROOT, "core", "src", "framework", name) for name in ("cli", "testing"))

    assert sum(_lines(file) for file in _sources("core/src") if not file.startswith(outer)) <= KERNEL_LIMIT


def test_the_public_names_are_few_sorted_and_resolve() -> None:
    assert framework.__all__ == sorted(framework.__all__)
    assert len(framework.__all__) <= NAME_LIMIT
    assert set(framework.__all__) <= set(dir(framework))
    for name in framework.__all__:
        assert getattr(framework, name).__doc__, name


def test_a_misspelt_public_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="ResourceProvider"):
        _ = framework.ResourceProvidr


def test_all_versions_agree() -> None:
    root = _project(ROOT)["project"]["version"]

    assert {one: _project(one)["project"]["version"] for one in _members()} == dict.fromkeys(_members(), root)
    assert framework.__version__ == root


@pytest.mark.parametrize("folder", [ROOT, *_members()], ids=os.path.basename)
def test_every_dependency_is_bounded_on_both_sides(folder: str) -> None:
    own = {_project(one)["project"]["name"] for one in _members()}
    content = _project(folder)
    project = content["project"]
    listed = [*project.get("dependencies", []), *content["build-system"]["requires"]]
    listed += [one for extra in project.get("optional-dependencies", {}).values() for one in extra]
    listed += [one for group in content.get("dependency-groups", {}).values() for one in group if isinstance(one, str)]
    loose = [one for one in listed if one not in own and not re.search(r">=.*,\s*<", one)]

    assert loose == []
    assert ">=" in project["requires-python"]
    assert "<" in project["requires-python"]


def test_the_root_distribution_lists_exactly_the_kernel_and_the_plugins() -> None:
    content = _project(ROOT)
    names = sorted(_project(one)["project"]["name"] for one in _members() if os.sep + "contrib" + os.sep not in one)

    assert sorted(content["project"]["dependencies"]) == names
    assert sorted(content["tool"]["uv"]["sources"]) == names


@pytest.mark.parametrize("folder", _members(), ids=os.path.basename)
def test_tool_settings_live_in_the_root_only(folder: str) -> None:
    assert set(_project(folder).get("tool", {})) <= {"hatch"}


def test_the_lock_file_is_complete_and_hashed() -> None:
    with open(os.path.join(ROOT, "requirements.lock"), encoding="utf-8") as file:
        text = file.read()
    pinned = set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))

    assert "://" not in text
    assert {"pluggy", "click", "pydantic", "anyio", "pytest"} <= pinned
    assert text.count("--hash=sha256:") >= len(pinned)
