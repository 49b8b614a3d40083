"""Deletes each plugin's directory in turn, in a copy of the tree, and runs everything else: `nox -s isolated`.

    python tests/architecture/removal.py [PLUGIN ...]

The copy holds what git tracks. Besides the directory, only the plugin's own lines in the root pyproject.toml go.
"""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UV = os.environ.get("UV", "uv")


def main(names: list[str]) -> int:
    """Return 0 if everything stays green whichever plugin goes."""
    broken = [name for name in names or sorted(os.listdir(os.path.join(ROOT, "plugins"))) if not _green_without(name)]
    print(f"not green without: {', '.join(broken)}" if broken else "green without any one plugin")
    return 1 if broken else 0


def _green_without(name: str) -> bool:
    print(f"--- without {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _copy(folder)
        shutil.rmtree(os.path.join(folder, "plugins", name))
        _drop_lines(os.path.join(folder, "pyproject.toml"), f"plugin-{name}")
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        # the plain architecture of the tree, the kernel, and every plugin that is left
        command = [UV, "run", "--quiet", "pytest", "-q", "--no-header"]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode == 0


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
