"""Deletes plugins' directories in a copy of the tree, and runs everything else: `nox -s isolated`.

    python tests/architecture/removal.py [PLUGIN ...]

First all of them go, and what is left is the kernel with its tests; then each goes in turn, and the tests of the whole
system are run, with those of every plugin that names it or anything it provides: no other can tell that it is gone. The
copy holds what git tracks. Besides the directory, only the plugin's own lines in the root pyproject.toml go.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UV = os.environ.get("UV", "uv")


def main(names: list[str]) -> int:
    """Return 0 if everything stays green whichever plugin goes."""
    every = sorted(os.listdir(os.path.join(ROOT, "plugins")))
    broken = [] if _green_without(every, "tests/kernel") else ["all"]
    for name in names or every:
        others = [f"plugins/{other}" for other in every if other != name and _names(other, name)]
        if not _green_without([name], "tests", "--ignore=tests/kernel", *others):
            broken.append(name)
    print(f"not green without: {', '.join(broken)}" if broken else "green without any plugin, and any one")
    return 1 if broken else 0


def _green_without(names: list[str], *arguments: str) -> bool:
    print(f"--- without {', '.join(names)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # tests run the interpreter of the copy as the user nobody
        _copy(folder)
        for name in names:
            shutil.rmtree(os.path.join(folder, "plugins", name))
            _drop_lines(os.path.join(folder, "pyproject.toml"), f"plugin-{name}")
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        command = [UV, "run", "--quiet", "pytest", "-q", "--no-header", *arguments]
        if subprocess.run(command, cwd=folder, env=environment, check=False).returncode == 0:
            return True
        print("--- once more what failed: what misses a plugin fails every time", flush=True)
        return subprocess.run([*command, "--last-failed"], cwd=folder, env=environment, check=False).returncode == 0


def _names(plugin: str, other: str) -> bool:
    """Return whether anything in a plugin's folder names another one, or what it provides."""
    (manifest,) = glob.glob(os.path.join(ROOT, "plugins", other, "src", "*", "plugin.toml"))
    with open(manifest, "rb") as stream:
        provided = tomllib.load(stream).get("provides", {})
    words = [f"plugin_{other}", f'"{other}"', *(f'"{one}"' for each in provided.values() for one in each)]
    for place, _, files in os.walk(os.path.join(ROOT, "plugins", plugin)):
        for file in files:
            if file.endswith((".py", ".toml", ".md")):
                with open(os.path.join(place, file), encoding="utf-8") as stream:
                    text = stream.read()
                if any(word in text for word in words):
                    return True
    return False


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
