"""Deletes plugins' directories in a copy of the tree, and runs everything else: `nox -s isolated`.

    python tests/architecture/removal.py [PLUGIN ...]

First all of them go, and what is left is the kernel with its tests. Then each goes in turn, and what can tell is run:
the tests of the whole system, and those of the other plugins that name it or anything it provides. Besides the
directory, only the plugin's own lines in the root pyproject.toml go. There is one copy, of what git tracks, and one
environment, which is brought into line each time. What is not green is named at the very end, plugin by plugin.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UV = os.environ.get("UV", "uv")
RUN = ["run", "--no-sync"]

# They start no plugin but those that they write themselves, so all of ours can be away, and none is missed by itself.
ALONE = [
    "tests/kernel",
    *(
        f"tests/conformance/test_{one}.py"
        for one in ("deaths", "dummy", "faults", "fixtures", "forgotten", "kit", "outside")
    ),
    *(f"tests/system/test_{one}.py" for one in ("endings", "endurance", "failure_matrix")),
]

# Something of another plugin is only asked for by its name where one of these is written too: `"memory"` alone may be a
# control group's.
ASKS = re.compile(
    r"\bplugins\b|plugin_\{|service\(|\brequires\b|strateg|\bframework\(|framework\.cli|\"framework\"|COMMAND"
)


def main(names: list[str]) -> int:
    """Return 0 if everything stays green whichever plugin goes."""
    every = sorted(os.listdir(os.path.join(ROOT, "plugins")))
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # tests run the interpreter of the copy as the user nobody
        tree = os.path.join(folder, "tree")
        _copy(tree)
        failed = {"any plugin": _failed_without(every, tree, ALONE)}
        for name in names or every:
            telling = [one for other in every if other != name for one in noticing(ROOT, other, name)]
            failed[name] = _failed_without([name], tree, ["tests", *(f"--ignore={one}" for one in ALONE), *telling])
    broken = [f"without {name}: {test}" for name, tests in failed.items() for test in tests]
    print("\n".join(["not green", *broken] if broken else ["green without any plugin, and any one"]))
    return 1 if broken else 0


def noticing(root: str, plugin: str, other: str) -> list[str]:
    """Return those of a plugin's tests that can tell that another one is gone, as paths from the root.

    Where only tests name it, these are all; what a README shows is run by the tests that speak of one.
    """
    words = _words(root, other)
    naming = [file for file in _files(root, plugin) if _names(_read(root, file), *words)]
    tests = [file for file in _files(root, plugin) if os.path.basename(file).startswith("test_")]
    if any(file not in tests and not file.endswith(".md") for file in naming):
        return [f"plugins/{plugin}"]
    readers = [file for file in tests if ".md" in _read(root, file)] if set(naming) - set(tests) else []
    return sorted({*naming, *readers} & set(tests))


def _words(root: str, plugin: str) -> tuple[list[str], list[str]]:
    """Return what can only mean this plugin or what it provides, and what may be any word."""
    (manifest,) = glob.glob(os.path.join(root, "plugins", plugin, "src", "*", "plugin.toml"))
    with open(manifest, "rb") as stream:
        provided = tomllib.load(stream).get("provides", {})
    words = sorted({plugin, *(one for each in provided.values() for one in each)})
    certain = [f'"{one}"' for one in words if not one.isalpha()]
    return [f"plugin_{plugin}", *certain], [f'"{one}"' for one in words if one.isalpha()]


def _names(text: str, certain: list[str], doubtful: list[str]) -> bool:
    """Return whether a text names a plugin by any of these words."""
    if any(word in text for word in certain):
        return True
    return any(word in text for word in doubtful) and ASKS.search(text) is not None


def _files(root: str, plugin: str) -> list[str]:
    """Return the files of a plugin that may name another, as paths from the root."""
    found = glob.glob(f"plugins/{plugin}/**/*.*", root_dir=root, recursive=True)
    return [one for one in found if one.endswith((".py", ".toml", ".md"))]


def _read(root: str, file: str) -> str:
    with open(os.path.join(root, file), encoding="utf-8") as stream:
        return stream.read()


def _failed_without(names: list[str], tree: str, arguments: list[str]) -> list[str]:
    """Return which tests fail, twice, where some plugins are not there."""
    print(f"--- without {', '.join(names)}", flush=True)
    cache = f"{tree}-cache-{len(names)}-{names[0]}"
    tests = [*RUN, "pytest", "-q", "--no-header", "-o", f"cache_dir={cache}", *arguments]
    with _away(names, tree):
        gone = f"import importlib.util as i; assert not [n for n in {names} if i.find_spec(f'plugin_{{n}}')]"
        if _uv(tree, "sync", "--compile-bytecode") or _uv(tree, *RUN, "python", "-c", gone):
            return ["the environment could not be made, or still has what was to go"]
        _uv(tree, *RUN, "python", "-m", "compileall", "-q", "core/src", "plugins")  # hundreds of programs import it
        if not _uv(tree, *tests):
            return []
        print("--- once more what failed: what misses a plugin fails every time", flush=True)
        if not (code := _uv(tree, *tests, "--last-failed")):
            return []
    last = f"{cache}/v/cache/lastfailed"
    failed: dict[str, bool] = json.loads(_read(cache, last)) if os.path.exists(last) else {}
    return sorted(failed) or [f"pytest ended with {code}"]


def _uv(tree: str, *arguments: str) -> int:
    """Have uv do something in the copy, with an environment that is the copy's own; return its exit code."""
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    return subprocess.run([UV, "--quiet", *arguments], cwd=tree, env=environment, check=False).returncode


@contextlib.contextmanager
def _away(names: list[str], tree: str) -> Iterator[None]:
    """Have the directories of some plugins, and their lines in pyproject.toml, elsewhere."""
    project = os.path.join(tree, "pyproject.toml")
    moves = [(os.path.join(tree, "plugins", name), f"{tree}-without-{name}") for name in names]
    for source, target in [*moves, (project, f"{tree}-pyproject.toml")]:
        os.rename(source, target)
    shutil.copy2(f"{tree}-pyproject.toml", project)
    for name in names:
        _drop_lines(project, f"plugin-{name}")
    try:
        yield
    finally:
        for source, target in [*moves, (project, f"{tree}-pyproject.toml")]:
            os.rename(target, source)


def _copy(target: str) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, copy = os.path.join(ROOT, name), os.path.join(target, name)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy2(source, copy)


def _drop_lines(file: str, word: str) -> None:
    with open(file, encoding="utf-8") as stream:
        kept = [line for line in stream if f'"{word}"' not in line and not line.startswith(f"{word} =")]
    with open(file, "w", encoding="utf-8") as stream:
        stream.writelines(kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
