"""A reader of the documentation, who types in order what a page shows, in an empty folder.

A block with a caption is a file. A `console` block is a session: lines that begin with `$ ` are run, the lines below
are what they print, where `...` stands for anything and runs of blanks count as one. A line that ends with ` &` is
started, and runs on once it has printed what is shown; `%1` stands for the first one's process, `$!` for the last's.
Of an `sh` block every line is a command that prints nothing; for those that install something, which needs a network,
the package is laid out as an installer would. All `python` blocks without a caption are one program, which is run when
the page was read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from framework.recovery import reclaim

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

PATIENCE = 200.0
"""Seconds that one command may take on a busy machine."""

EXAMPLE = os.path.join(os.path.dirname(__file__), "example.py")

LOADED = {"yaml", "toml"}
"""Without a caption they are no file; tests/architecture/test_documentation_examples.py loads every one of them."""

INSTALLED = {
    "uv sync --all-packages": "",
    "source .venv/bin/activate": "",
    "uv pip install --editable .": ".",
    "uv pip install --editable './plugin-card[test]'": "plugin-card",
    "uv pip install plugin-card": "plugin-card",
}
"""What a reader types to install something, and the folder of the package that the reader here lays out instead."""

ANSWERS = {3, 4}
"""Exit codes of commands that say of something that it cannot be had now, or ever, which is no error."""

REMOVED = {"uv pip uninstall plugin-card": "plugin_card"}
"""The same for what removes a package again."""

_BLOCK = re.compile(r"^```(?P<language>.*)\n(?P<body>(?:.*\n)*?)^```$", re.MULTILINE)
_HEADER = re.compile(r"\A:caption: (?P<file>.+)\n\n")


@dataclass(frozen=True)
class Block:
    language: str
    file: str
    body: str
    line: int
    """Of the first line of the body, counted from 1."""

    @property
    def is_example(self) -> bool:
        """Whether it shows something, other than a menu, a picture, or what is included from elsewhere."""
        return not self.language.startswith("{")

    @property
    def is_typed(self) -> bool:
        return not self.file and self.language in {"console", "sh"}


@dataclass(frozen=True)
class Command:
    text: str
    shown: str


def read(name: str) -> str:
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def blocks(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        header = _HEADER.match(match["body"])
        body = match["body"][header.end() :] if header else match["body"]
        language = match["language"].removeprefix("{code-block}").strip()
        line = text.count("\n", 0, match.start("body")) + 1 + 2 * bool(header)
        yield Block(language, header["file"] if header else "", body, line)


def commands(block: Block) -> Iterator[Command]:
    """Yield each command that is typed, with what is shown to be printed."""
    if block.language == "sh":
        yield from (Command(line, "") for line in block.body.splitlines())
        return
    head, *parts = re.split(r"^\$ ", block.body, flags=re.MULTILINE)
    assert head == "", f"output before the first command: {head!r}"
    for part in parts:
        text, _, shown = part.partition("\n")
        yield Command(text, shown)


def matches(shown: str, printed: str) -> bool:
    pattern = ""
    for line in shown.splitlines():
        words = " ".join(line.split())
        pattern += r"(?:.*\n)*?" if words == "..." else ".*".join(map(re.escape, words.split("..."))) + r"\n"
    plain = "".join(f"{' '.join(line.split())}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, plain) is not None


class Reader:
    """Somebody who follows a page in an empty folder, but for the commands `left_out`."""

    def __init__(self, home: str, left_out: Collection[str] = ()) -> None:
        self.work, self.site, self.temporary = (os.path.join(home, name) for name in ("work", "site", "temporary"))
        for folder in (self.work, self.site, self.temporary):
            os.mkdir(folder)
        self.left_out = left_out
        self.program: list[Block] = []
        self.jobs: list[subprocess.Popen[str]] = []
        self.environment = {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": self.site,
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": home,
            "TMPDIR": self.temporary,
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
        }

    def follow(self, block: Block) -> None:
        if block.file:
            self.write(block.file, block.body)
        elif block.is_typed:
            for command in commands(block):
                if command.text not in self.left_out:
                    self.run(command)
        elif block.language == "python":
            self.program.append(block)
        elif block.is_example and block.language not in LOADED:
            pytest.fail(f"line {block.line}: a block of {block.language!r} without a caption is neither run nor a file")

    def write(self, name: str, text: str) -> None:
        file = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)

    def run(self, command: Command) -> None:
        if command.text in INSTALLED:
            self.install(INSTALLED[command.text])
            return
        if command.text in REMOVED:
            self.remove(REMOVED[command.text])
            return
        if command.text.endswith(" &"):
            self.start(command)
            return
        if awaited := re.fullmatch(r"wait %(\d+)", command.text):
            self.jobs[int(awaited[1]) - 1].wait(PATIENCE)
            return
        text = re.sub(r"%(\d+)", lambda one: str(self.jobs[int(one[1]) - 1].pid), command.text)
        if self.jobs:
            text = text.replace("$!", str(self.jobs[-1].pid))
        done = subprocess.run(["bash", "-c", text], **self.options(), timeout=PATIENCE, check=False)
        printed = done.stdout.replace(self.work, ".")
        if not matches(command.shown, printed):
            pytest.fail(f"$ {command.text}\n{printed}--- the page shows:\n{command.shown}", pytrace=False)
        if "framework: error: " in command.shown:
            assert done.returncode != 0, command.text
        else:
            assert done.returncode in {0, *ANSWERS}, command.text

    def options(self) -> dict[str, Any]:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return {"cwd": self.work, "env": self.environment, "text": True, **streams}

    def start(self, command: Command) -> None:
        """Start a program that runs on, and wait until it has printed what is shown."""
        text = f"exec {command.text.removesuffix(' &')}"
        self.jobs.append(subprocess.Popen(["/bin/sh", "-c", text], **self.options()))
        stream = self.jobs[-1].stdout
        assert stream is not None
        printed = "".join(stream.readline() for _ in command.shown.splitlines())
        assert matches(command.shown, printed), f"$ {command.text}\n{printed}"

    def execute(self, page: str, given: str) -> None:
        """Run the Python examples as one program, in which every line has the number that it has on the page."""
        lines = [""] * sum(1 for _ in read(page).splitlines())
        for block in self.program:
            for number, line in enumerate(block.body.splitlines(), block.line - 1):
                lines[number] = line
        self.write("given.py", given)
        self.write("program.py", "\n".join(lines))
        command = [sys.executable, EXAMPLE, os.path.join(ROOT, page)]
        done = subprocess.run(command, **self.options(), timeout=PATIENCE, check=False)
        if done.returncode:
            pytest.fail(f"the Python examples of {page} fail:\n{done.stdout}", pytrace=False)

    def leave(self) -> None:
        """End what still runs, and give back what it held where a test has failed in between."""
        for job in self.jobs:
            job.kill()
            job.communicate()
        reclaim(os.path.join(self.environment["HOME"], ".local", "state", "framework", "leases"))

    def install(self, folder: str) -> None:
        """Lay a package out as an installer does: its files, and a dist-info directory beside them."""
        if not folder:
            return
        with open(os.path.join(self.work, folder, "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)["project"]
        name = project["name"].replace("-", "_")
        shutil.copytree(os.path.join(self.work, folder, "src", name), os.path.join(self.site, name))
        information = os.path.join(self.site, f"{name}-{project['version']}.dist-info")
        os.mkdir(information)
        headers = ["Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {project['version']}"]
        headers += [f"Summary: {project['description']}", f"Author: {project['authors'][0]['name']}"]
        headers += [f"Requires-Python: {project['requires-python']}"]
        headers += [f"Requires-Dist: {one}" for one in project["dependencies"]]
        entries = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            for group, points in project["entry-points"].items()
        ]
        for target, text in {"METADATA": "\n".join(headers) + "\n\n", "entry_points.txt": "\n".join(entries)}.items():
            with open(os.path.join(information, target), "w", encoding="utf-8") as stream:
                stream.write(text)

    def remove(self, package: str) -> None:
        """Remove what was laid out."""
        for name in os.listdir(self.site):
            if name == package or name.startswith(f"{package}-"):
                shutil.rmtree(os.path.join(self.site, name))
