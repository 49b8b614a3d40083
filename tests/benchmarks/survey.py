"""Compare `framework survey` with rdfind, jdupes and fdupes on a tree of many files, with a warm page cache.

Run: python tests/benchmarks/survey.py [--files 50000] [--rounds 5]

The tree: sizes log-normal (median 4 KiB, sigma 1.5, at most 4 MiB; 12 KiB on average), 100 files a folder, a fifth of
the files copies of one of the first 2,000. All run in turn in each round; the least wall time of each counts, start-up
included. The survey does more: it reads and digests every file, where the others read only what may be equal, and it
writes a catalogue. It runs twice, without a former catalogue and with the one just made, of which nothing has changed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

FOLDER_SIZE = 100
ORIGINALS = 2000
LARGEST = 4 << 20
SURVEY = "framework survey"
AGAIN = "survey again"
STATE = "state"


def make_tree(root: str, files: int) -> int:
    """Make the tree and return its size in bytes; the same every time."""
    numbers = random.Random(1)
    originals: list[bytes] = []
    total = 0
    for index in range(files):
        number = index // FOLDER_SIZE
        folder = os.path.join(root, f"{number // 25:03d}", f"{number:05d}")
        if index % FOLDER_SIZE == 0:
            os.makedirs(folder)
        if originals and numbers.random() < 0.2:
            content = numbers.choice(originals)
        else:
            content = numbers.randbytes(min(int(numbers.lognormvariate(8.3178, 1.5)), LARGEST))
            if len(originals) < ORIGINALS:
                originals.append(content)
        total += len(content)
        with open(os.path.join(folder, f"file{index:07d}"), "wb") as file:
            file.write(content)
    return total


def commands(tree: str, scratch: str) -> dict[str, list[str]]:
    """Return the commands that are installed here."""
    survey = [sys.executable, "-c", "from framework.cli import main; main()", "survey", tree]
    found = {
        SURVEY: survey,
        AGAIN: survey,
        "rdfind": ["rdfind", "-dryrun", "true", "-outputname", os.path.join(scratch, "results.txt"), tree],
        "jdupes": ["jdupes", "-r", "-q", tree],
        "fdupes": ["fdupes", "-r", "-q", tree],
    }
    return {name: command for name, command in found.items() if shutil.which(command[0])}


def seconds_for(command: list[str], environment: dict[str, str]) -> float:
    """Return the wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Make the tree, run everything in turn, print the minima and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = os.path.join(scratch, "tree")
        total = make_tree(tree, options.files)
        print(f"{options.files:,} files, {total:,} bytes, {os.cpu_count()} CPUs")
        # cached bytecode, as after any installation
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        state = os.path.join(scratch, STATE)
        environment |= {"XDG_STATE_HOME": state, "PYTHONPYCACHEPREFIX": os.path.join(scratch, "bytecode")}
        runs = commands(tree, scratch)
        for command in runs.values():
            seconds_for(command, environment)  # warms the caches
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, command in runs.items():
                if name == SURVEY:
                    shutil.rmtree(state)
                times[name].append(seconds_for(command, environment))
    first, again = min(times[SURVEY]), min(times[AGAIN])
    for name, measured in times.items():
        least = min(measured)
        print(
            f"{name:17} {least:6.3f} s   the survey takes {first / least:.2f} times as long, again {again / least:.2f}"
        )


if __name__ == "__main__":
    main()
