"""Start-up of the command line against an empty interpreter, with ten plugins installed.

    python tests/benchmarks/startup.py [--rounds 15]

Each round starts every command once, in turn; the figure is the minimum of all rounds, the ratio that of minima. The
ten plugins are the first-party ones and as many generated ones as are missing, put on the import path of the commands.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

from framework.discovery import discover

PLUGINS = 10


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    program = shutil.which("framework", path=os.path.dirname(sys.executable)) or "framework"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        "framework --version": [program, "--version"],
        "framework plugins list": [program, "plugins", "list"],
        "framework plugins list -o json": [program, "plugins", "list", "-o", "json"],
    }
    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(0, PLUGINS - len(discover().manifests))):
            _plant(folder, f"extra{number}")
        environment = {**os.environ, "PYTHONPATH": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling anew at every start is not what is measured
        best = dict.fromkeys(commands, float("inf"))
        for _ in range(rounds + 1):  # the first round fills the caches and counts like the others: minima
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
                best[name] = min(best[name], time.perf_counter() - start)
    base = best["python -c pass"]
    for name, seconds in best.items():
        print(f"{name:34} {seconds * 1000:8.1f} ms  {seconds / base:6.2f} x pass")


def _plant(folder: str, name: str) -> None:
    package = os.path.join(folder, f"plugin_{name}")
    metadata = os.path.join(folder, f"plugin_{name}-1.0.dist-info")
    os.makedirs(package)
    os.makedirs(metadata)
    files = {
        os.path.join(package, "__init__.py"): "",
        os.path.join(package, "plugin.toml"): f'schema = 1\napi = 1\nname = "{name}"\ntype = "provider"\n',
        os.path.join(metadata, "METADATA"): f"Metadata-Version: 2.1\nName: plugin-{name}\nVersion: 1.0\nSummary: x\n\n",
        os.path.join(metadata, "entry_points.txt"): f"[framework.plugins]\n{name} = plugin_{name}:Plugin\n",
    }
    for path, text in files.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
