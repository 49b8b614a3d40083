"""Measure the memory of the survey's commands that list entries, on catalogues of very many.

Run: python tests/benchmarks/survey_lists.py [--files 1000000] [--only WORD]

Two catalogues are made, without the files. Half of the names of each are one group of equal files, the others are
pairs; between the two a third has changed, and a third has moved. Each command prints all in each format; what counts
is the peak of the resident memory of its process, beside that of the same command on catalogues of a thousandth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from plugin_survey.cataloguing.catalogue import Catalogue, Outcome, Run
from plugin_survey.problem import Problem

PLUGINS = ("executors", "file", "memory", "pool", "survey")
PEAK = """
import atexit, os

def tell():  # what wait4 says includes what its parent had
    with open("/proc/self/status") as status, open(os.environ["PEAK"], "w") as target:
        target.write(next(line for line in status if line.startswith("VmHWM")))

atexit.register(tell)
"""
MAIN = PEAK + "from framework.cli import main; main()"
REPORT = (
    PEAK
    + """
import sys
from framework.cli.context import Context
from plugin_survey import command
from plugin_survey.duplicates import index_groups
from plugin_survey.reporting.gathering import gather, opened
from plugin_survey.reporting.report import Findings

context = Context()
context.format = sys.argv[-1]
with opened(sys.argv[1]) as database:
    findings = Findings([b"/"], "sha256", 1, 0.0, groups=index_groups(database, 1))
    command._show(context, gather(findings, database, {}))
"""
)
PORTION = 1000
MIB = 1 << 20


def make_catalogue(path: str, files: int, *, later: bool = False) -> None:
    """Make a catalogue of so many names; another one if it is to be of a later survey of them."""
    catalogue = Catalogue(path, Run(0.0, [{"path": "/there"}], {}, "sha256"))
    for start in range(0, files, PORTION):
        rows = [_row(number, files, later=later) for number in range(start, start + PORTION)]
        problems = [Problem(b"%b.denied" % row[0], "denied", "Permission denied") for row in rows]
        catalogue.add(rows, problems)
    catalogue.conclude()
    catalogue.finish(Outcome())


def _row(number: int, files: int, *, later: bool) -> tuple[bytes, int, int, int, int, int, bytes, str]:
    same = number < files // 2
    content = b"same" if same else b"%d" % (number // 2)
    name = b"/there/a folder with a name/another one/%d/file %d" % (number // 100, number)
    if later and number % 3 == 0:
        content += b" later"
    if later and number % 3 == 1:
        name += b" moved"
    return name, 9 if same else 5, number, number, 1, number + 1, content.rjust(32), "text"


def peak_of(arguments: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Return the peak of the resident memory in MiB, seconds of processor time, and the MiB printed."""
    environment = environment | {"PEAK": os.path.join(environment["TMPDIR"], "peak")}
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=printed, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode not in {0, 1}:
            raise subprocess.CalledProcessError(process.returncode, arguments, stderr=said.read())
        with open(environment["PEAK"], encoding="ascii") as file:
            peak = int(file.read().split()[1]) / 1024
        return peak, usage.ru_utime + usage.ru_stime, os.fstat(printed.fileno()).st_size / MIB


def commands(one: str, other: str) -> dict[str, list[str]]:
    """Return the commands, by what they are called in the table."""
    survey = ["-c", MAIN, "survey"]
    return {
        "survey": ["-c", REPORT, one],
        "duplicates": [*survey, "duplicates", "--catalogue", one, "--limit", "0"],
        "duplicates --delete": [*survey, "duplicates", "--catalogue", one, "--delete", "--keep", "first"],
        "verify": [*survey, "verify", "--quiet", "--catalogue", one],
        "diff": [*survey, "diff", one, other],
    }


def main() -> None:
    """Make catalogues, run everything once, print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="only what has this word in its name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        config = os.path.join(scratch, "framework.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"plugins": {name: {} for name in PLUGINS}}, file)
        environment = os.environ | {"FRAMEWORK_CONFIG": config, "XDG_STATE_HOME": scratch, "TMPDIR": scratch}
        names = {}
        for files in (max(PORTION, options.files // 1000), options.files):
            names[files] = [os.path.join(scratch, f"{which}-{files}") for which in ("before", "after")]
            started = time.process_time()
            for later, path in enumerate(names[files]):
                make_catalogue(path, files, later=bool(later))
            print(f"two catalogues of {files:,} names made in {time.process_time() - started:.1f} s", flush=True)
        for name in commands("", ""):
            for style in ("table", "json", "ndjson", "yaml"):
                if options.only in f"{name} {style}":
                    few, many = (
                        peak_of([*commands(*paths)[name], "-o", style], environment) for paths in names.values()
                    )
                    print(
                        f"{name:20} {style:7} {few[0]:6.0f} and {many[0]:6.0f} MiB, {many[1]:6.1f} s of CPU,"
                        f" {many[2]:5.0f} MiB printed",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
