"""The import rules: who may know whom. Rooms are found by globbing the tree, so a new plugin edits nothing here."""

import ast
import functools
import os
from collections.abc import Iterator

import grimp
import pytest

from framework import manifest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# Highest first. A module imports only from rows below its own; modules of one row do not know each other.
LAYERS = [
    {"cli", "testing"},
    {"manager"},
    {"host", "doctor"},
    {"housekeeping", "shutdown"},
    {"plugins"},
    {"inventory"},
    {"discovery", "resolver", "settings", "lock", "rewriting"},
    {"manifest", "documents", "quarantine"},
    {"manifest_schema"},
    {"cleanup", "metering"},
    {"hooks"},
    {"hookspecs"},
    {"acquisition", "lent"},
    {"resources"},
    {"ledger", "recovery"},
    {"journal", "lease"},
    {"requests", "directories", "installed", "finishing", "audit", "quotas", "identity", "filesystems", "limits"},
    {"process_number"},
    {"telemetry", "threads", "admission"},
    {"protocols"},
    {"records"},
    {"errors", "frozen"},
]

# The package root resolves every public name lazily and type-checks against all of them.
FREE = {"framework"}


def _rooms(kind: str) -> dict[str, str]:
    """Return folder by package name for each plugin or contrib package in the tree."""
    found = {}
    for name in sorted(os.listdir(os.path.join(ROOT, kind))):
        source = os.path.join(ROOT, kind, name, "src")
        if os.path.isdir(source):
            for package in os.listdir(source):
                if os.path.isfile(os.path.join(source, package, "__init__.py")):
                    found[package] = os.path.join(source, package)
    return found


PLUGINS = _rooms("plugins")
CONTRIB = _rooms("contrib")


@functools.cache
def _kernel() -> grimp.ImportGraph:
    return grimp.build_graph("framework", cache_dir=None, exclude_type_checking_imports=True)


def _row(module: str) -> int:
    top = module.split(".")[1]
    return next(index for index, row in enumerate(LAYERS) if top in row)


def _imports(folder: str) -> Iterator[tuple[str, int, str]]:
    """Return file, line and full dotted name of everything that the modules of a package import."""
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith(".py"):
                file = os.path.join(place, name)
                with open(file, encoding="utf-8") as stream:
                    tree = ast.parse(stream.read())
                for node in ast.walk(tree):
                    if isinstance(node, ast.Import):
                        yield from ((file, node.lineno, alias.name) for alias in node.names)
                    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                        yield from ((file, node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_every_kernel_module_has_a_row() -> None:
    tops = {module.split(".")[1] for module in _kernel().modules if "." in module}

    assert tops == set().union(*LAYERS)
    assert len(tops) == sum(map(len, LAYERS))


def test_kernel_modules_import_only_from_rows_below() -> None:
    graph = _kernel()
    wrong = []
    for importer in sorted(graph.modules - FREE):
        for imported in sorted(graph.find_modules_directly_imported_by(importer) - FREE):
            same_package = importer.split(".")[1] == imported.split(".")[1]
            if not same_package and _row(imported) <= _row(importer):
                details = graph.get_import_details(importer=importer, imported=imported)
                wrong.append(f"{importer}:{details[0]['line_number']} imports {imported}")

    assert wrong == []


def test_kernel_packages_have_no_import_cycles_inside() -> None:
    graph = _kernel()
    wrong = [
        (one, other)
        for one in graph.modules - FREE
        for other in graph.modules - FREE
        if one < other
        and len(one.split(".")) == len(other.split(".")) == 3
        and graph.find_shortest_chain(one, other)
        and graph.find_shortest_chain(other, one)
    ]

    assert wrong == []


def test_the_kernel_knows_no_plugin() -> None:
    folder = os.path.join(ROOT, "core", "src", "framework")
    wrong = [
        f"{file}:{line} imports {name}"
        for file, line, name in _imports(folder)
        if name.split(".")[0] in PLUGINS.keys() | CONTRIB.keys()
    ]

    assert wrong == []


@pytest.mark.parametrize("package", sorted(PLUGINS))
def test_a_plugin_imports_only_public_names_and_what_it_requires(package: str) -> None:
    wrong = [
        f"{file}:{line} imports {name}"
        for file, line, name in _imports(PLUGINS[package])
        if not _plugin_may_import(name, package)
    ]

    assert wrong == []


@pytest.mark.parametrize("package", sorted(CONTRIB))
def test_contrib_imports_no_other_contrib(package: str) -> None:
    wrong = [
        f"{file}:{line} imports {name}"
        for file, line, name in _imports(CONTRIB[package])
        if name.split(".")[0] in CONTRIB.keys() - {package}
    ]

    assert wrong == []


@pytest.mark.parametrize("package", sorted(PLUGINS))
def test_every_third_party_import_of_a_plugin_is_declared(package: str) -> None:
    import sys
    import tomllib

    with open(os.path.join(PLUGINS[package], "..", "..", "pyproject.toml"), "rb") as file:
        declared = " ".join(tomllib.load(file)["project"]["dependencies"]).lower()
    known = sys.stdlib_module_names | {package, "framework", "_posixshmem"} | PLUGINS.keys()
    wrong = [
        f"{file}:{line} imports {name}"
        for file, line, name in _imports(PLUGINS[package])
        if (top := name.split(".")[0]) not in known and top.lower() not in declared
    ]

    assert wrong == []


def _plugin_may_import(name: str, package: str) -> bool:
    top, _, rest = name.partition(".")
    if top == "framework":
        return "." not in rest or rest.startswith(("errors.", "limits."))
    if top in PLUGINS and top != package:
        required = manifest.read(os.path.join(PLUGINS[package], manifest.FILE_NAME)).get("requires", [])
        return top.removeprefix("plugin_") in required and "." not in rest
    return top not in CONTRIB
