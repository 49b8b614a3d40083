"""Every file and command that tutorials and some guides show is written and run, and what is printed is compared.

A block with a caption is a file. A `console` block is a session: lines that begin with `$ ` are run, the lines below
are what they print, where `...` stands for anything and runs of blanks count as one. A line that ends with ` &` is
started, and runs on once it has printed what is shown; `%1` stands for the first one's process. A `sh` block installs
something; as that needs a network, this file lays the package out as an installer would.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from framework.discovery import discover
from framework.recovery import reclaim

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCS = os.path.join(ROOT, "docs")
TUTORIALS = sorted(f"tutorial/{one}" for one in os.listdir(os.path.join(DOCS, "tutorial")) if one != "index.md")
GUIDES = (
    *("see-who-holds-what", "see-what-you-use", "work-without-asyncio", "run-tasks"),
    *("keep-memory-within-limits", "survey-a-folder", "why-a-plugin-fails"),
)
PAGES = [*TUTORIALS, *(f"how-to/{one}.md" for one in GUIDES)]

# What a reader types to install; this test stands in for it.
INSTALLING = {"uv sync --all-packages", "source .venv/bin/activate", "uv pip install --editable ."}

_BLOCK = re.compile(r"^```(?P<language>.*)\n(?P<body>(?:.*\n)*?)^```$", re.MULTILINE)
_HEADER = re.compile(r"\A:caption: (?P<file>.+)\n\n")


@dataclass(frozen=True)
class Block:
    language: str
    file: str
    body: str
    line: int


@dataclass(frozen=True)
class Command:
    text: str
    shown: str


def read(name: str) -> str:
    with open(os.path.join(DOCS, name), encoding="utf-8") as file:
        return file.read()


def blocks(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        header = _HEADER.match(match["body"])
        body = match["body"][header.end() :] if header else match["body"]
        language = match["language"].removeprefix("{code-block}").strip()
        yield Block(language, header["file"] if header else "", body, text.count("\n", 0, match.start()) + 1)


def commands(session: str) -> Iterator[Command]:
    head, *parts = re.split(r"^\$ ", session, flags=re.MULTILINE)
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
    """Somebody who follows a tutorial in an empty folder."""

    def __init__(self, home: str) -> None:
        self.work, self.site, self.temporary = (os.path.join(home, name) for name in ("work", "site", "temporary"))
        for folder in (self.work, self.site, self.temporary):
            os.mkdir(folder)
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
        elif block.language == "console":
            for command in commands(block.body):
                self.run(command)
        elif block.language == "sh":
            assert set(block.body.splitlines()) <= INSTALLING
            if "uv pip install --editable ." in block.body:
                self.install()
        else:
            pytest.fail(f"line {block.line}: a block of {block.language!r} without a caption is neither run nor a file")

    def write(self, name: str, text: str) -> None:
        file = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)

    def run(self, command: Command) -> None:
        if command.text.endswith(" &"):
            self.start(command)
            return
        if awaited := re.fullmatch(r"wait %(\d+)", command.text):
            self.jobs[int(awaited[1]) - 1].wait(60)
            return
        text = re.sub(r"%(\d+)", lambda one: str(self.jobs[int(one[1]) - 1].pid), command.text)
        done = subprocess.run(["/bin/sh", "-c", text], **self.options(), timeout=60, check=False)
        printed = done.stdout.replace(self.work, ".")
        if not matches(command.shown, printed):
            pytest.fail(f"$ {command.text}\n{printed}--- the tutorial shows:\n{command.shown}", pytrace=False)
        assert (done.returncode == 0) is ("framework: error: " not in command.shown), command.text

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

    def leave(self) -> None:
        """End what still runs, and give back what it held where a test has failed in between."""
        for job in self.jobs:
            job.kill()
            job.communicate()
        reclaim(os.path.join(self.environment["HOME"], ".local", "state", "framework", "leases"))

    def install(self) -> None:
        """Lay the package out as an installer does: its files, and a dist-info directory beside them."""
        with open(os.path.join(self.work, "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)["project"]
        name = project["name"].replace("-", "_")
        shutil.copytree(os.path.join(self.work, "src", name), os.path.join(self.site, name))
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


def needed(text: str) -> set[str]:
    found = re.match(r"---\nplugins: \[(?P<names>[\w, ]+)\]\n---\n", text)
    return set(found["names"].replace(",", " ").split()) if found else set()


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_sees_what_the_tutorial_shows(name: str, tmp_path: os.PathLike[str]) -> None:
    text = read(name)
    missing = needed(text) - discover().manifests.keys()
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/dev/shm/framework.frames")  # left by a run of this test that was killed
    reader = Reader(os.fspath(tmp_path))

    try:
        for block in blocks(text):
            reader.follow(block)
    finally:
        reader.leave()

    # pytest keeps the folders of its last three runs
    assert [one for one in os.listdir(reader.temporary) if not one.startswith("pytest-of-")] == []


def test_an_output_that_differs_is_noticed() -> None:
    assert matches("a ... c\n...\nz\n", "a   b  c\nd\ne\nz\n")
    assert not matches("a ... c\n", "a b d\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a\n...\nz\n", "a\nb\n")
