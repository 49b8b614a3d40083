"""The failure matrix: three good plugins and a bad one, in a program of its own, for every kind of badness.

Each row is measured: what the inventory says of the bad plugin without importing it, what a start makes of it, and what
the next start does. The page `docs/explanation/failure-matrix.md` is the table of what the tests below hold; write it
anew with `python tests/system/test_failure_matrix.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "explanation", "failure-matrix.md")
GOOD = ("good0", "good1", "good2")

HOST = """
import asyncio, json, resource, sys
from framework import Framework
from framework.discovery import discover
from framework.inventory import take
from framework.settings import Settings

names = sys.argv[1:]
wanted = {*names, "bad"}
config = {"plugins": dict.fromkeys(names), "timeouts": {"start": 2.0, "stop": 2.0}}
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

def shown(records):
    return {one.name: [one.state.value, one.reason, list(one.warnings)] for one in records if one.name in wanted}

found = take(discover(), Settings.load(config, environ={}))
assert not [module for module in sys.modules if module.startswith("plugin_")]
print(json.dumps(shown(found.records.values())), flush=True)

async def main():
    closing = ""
    try:
        async with Framework.from_config(config) as fw:
            print(json.dumps(shown(fw.plugins.records())), flush=True)
            print(json.dumps({name: (await fw.execute(name))["said"] for name in names if name != "bad"}), flush=True)
    except ExceptionGroup as group:
        closing = "; ".join(map(str, group.exceptions))
    states = [fw.plugins.record(name).state.value for name in names if name != "bad"]
    print(json.dumps([closing, states]), flush=True)

asyncio.run(main())
"""

WORKS = """
from framework import Plugin

class Sample(Plugin):
    async def execute(self, parameters):
        return {"said": self.name}
"""

NOT_IMPORTED = "discovered"
ACTIVE, FAILED, QUARANTINED = "active", "failed", "quarantined"
WARNED, CLEANED = "active, with a warning", "active; what its clean-up raised is reported"
DIES, KILLED = "ends the program", "hangs the program until it is killed"
DOUBT = "Or a plugin that started at the same time did."
IGNORED, SAME = "no plugin", "the same"


def initializes(body: str) -> str:
    """Return a plugin whose `initialize` does this."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return f"import asyncio, ctypes, os, signal, sys, time\n{WORKS}\n    async def initialize(self):\n{lines}\n"


@dataclass(frozen=True)
class Case:
    """One kind of badness: how it is made, and what is held about it."""

    title: str
    discovery: str
    start: str
    later: str = SAME
    code: str | bytes = WORKS
    reason: str = ""
    """Part of the reason, or of the warning, that the row of the bad plugin shows."""
    options: dict[str, Any] = field(default_factory=dict)
    spoil: Callable[[Path, Install], object] | None = None
    enabled: bool = True


def _no_metadata(site: Path, _install: Install) -> None:
    (site / "plugin_bad-1.0.dist-info" / "METADATA").unlink()


def _nothing(site: Path, _install: Install) -> None:
    _no_metadata(site, _install)
    (site / "plugin_bad-1.0.dist-info" / "entry_points.txt").unlink()


def _twice(site: Path, install: Install) -> None:
    install(site, "bad", WORKS, distribution="imposter")


def _nameless(site: Path, _install: Install) -> None:
    (site / "plugin_bad-1.0.dist-info").rename(site / ".dist-info")


def _no_module(site: Path, _install: Install) -> None:
    for file in (site / "plugin_bad").iterdir():
        file.unlink()
    (site / "plugin_bad").rmdir()


def points(text: str | bytes) -> dict[str, Any]:
    return {"entry_points": text}


HALF = """
from framework import Plugin, hookimpl

class Sample(Plugin):
    @hookimpl
    def register_services(self):
        return {"bad.service": self}

    @hookimpl
    def register_cleanup_participants(self):
        raise ValueError("half way")
"""
UNKNOWN = """
from framework import Plugin, hookimpl

class Sample(Plugin):
    @hookimpl
    def register_services(self, surprise):
        return {}
"""
CLEANS = f"{WORKS}\n    async def cleanup(self):\n        raise ValueError('not clean')\n"
HOLDS = "import ctypes\nopen('hangs', 'w').close()\nctypes.PyDLL(None).pause()"
EATS = "eaten = []\nwhile True:\n    eaten.append(bytearray(1 << 28))"
GOOD_LINE = "bad = plugin_bad:Sample\n"

CASES = [
    Case(
        "ImportError on import", NOT_IMPORTED, FAILED, code="import nowhere.at_all", reason="No module named 'nowhere'"
    ),
    Case("SyntaxError on import", NOT_IMPORTED, FAILED, code="def", reason="SyntaxError"),
    Case("its module is missing", FAILED, FAILED, spoil=_no_module, reason="which is not there"),
    Case("`sys.exit` on import", NOT_IMPORTED, FAILED, code="import sys; sys.exit(3)", reason="SystemExit: 3"),
    Case(
        "abort on import",
        NOT_IMPORTED,
        DIES,
        QUARANTINED,
        code="import os; os.abort()",
        reason="while it was being imported",
    ),
    Case("hangs on import", NOT_IMPORTED, FAILED, code="import time\nwhile True: time.sleep(1)", reason="within 2 s"),
    Case("a hook wants an argument that there is not", NOT_IMPORTED, FAILED, code=UNKNOWN, reason="surprise"),
    Case(
        "its name is claimed by two distributions", FAILED, FAILED, spoil=_twice, reason="Two plugins are called 'bad'"
    ),
    Case(
        "entry_points.txt has a line without `=`",
        FAILED,
        FAILED,
        options=points("[framework.plugins]\nbad\n"),
        reason="has the line 'bad'",
    ),
    Case(
        "entry_points.txt is not UTF-8",
        FAILED,
        FAILED,
        options=points(b"[framework.plugins]\nb\xe4d = x:Y\n" + GOOD_LINE.encode()),
        reason="not installed",
    ),
    Case(
        "the value of its entry point is malformed",
        FAILED,
        FAILED,
        options=points("[framework.plugins]\nbad = plugin_bad:Sample:More\n"),
        reason="is malformed",
    ),
    Case("a directory is called `.dist-info`", NOT_IMPORTED, ACTIVE, spoil=_nameless),
    Case("METADATA is missing", NOT_IMPORTED, ACTIVE, spoil=_no_metadata),
    Case("its metadata directory is empty", IGNORED, IGNORED, spoil=_nothing, enabled=False),
    Case(
        "entry_points.txt has a stray line",
        NOT_IMPORTED,
        ACTIVE,
        options=points(f"stray\n[framework.plugins]\n{GOOD_LINE}"),
    ),
    Case("its manifest is not TOML", FAILED, FAILED, options={"manifest": "name = "}, reason="is not TOML"),
    Case("its manifest is invalid", FAILED, FAILED, options={"extra": "surprise = 1"}, reason="unknown key 'surprise'"),
    Case(
        "hangs on import in C code, and keeps the interpreter",
        NOT_IMPORTED,
        KILLED,
        QUARANTINED,
        code=HOLDS,
        reason="while it was being imported",
    ),
    Case(
        "raises a `BaseException` on import",
        NOT_IMPORTED,
        FAILED,
        code="raise KeyboardInterrupt",
        reason="KeyboardInterrupt",
    ),
    Case("eats memory on import", NOT_IMPORTED, FAILED, code=EATS, reason="MemoryError"),
    Case(
        "hangs in `initialize`, awaiting",
        NOT_IMPORTED,
        FAILED,
        code=initializes("await asyncio.Event().wait()"),
        reason="did not end its initialize within 2 s",
    ),
    Case(
        "hangs in `initialize`, and keeps the event loop",
        NOT_IMPORTED,
        KILLED,
        QUARANTINED,
        code=initializes("open('hangs', 'w').close()\nwhile True: time.sleep(1)"),
        reason="while it was being initialized",
    ),
    Case(
        "`os._exit` in `initialize`",
        NOT_IMPORTED,
        DIES,
        QUARANTINED,
        code=initializes("os._exit(0)"),
        reason="while it was being initialized",
    ),
    Case(
        "`os._exit` in `initialize`, after a while",
        NOT_IMPORTED,
        DIES,
        QUARANTINED,
        code=initializes("await asyncio.sleep(0.2)\nos._exit(0)"),
        reason="while it was being initialized",
    ),
    Case(
        "segmentation fault in `initialize`",
        NOT_IMPORTED,
        DIES,
        QUARANTINED,
        code=initializes("ctypes.string_at(0)"),
        reason="while it was being initialized",
    ),
    Case("eats memory in `initialize`", NOT_IMPORTED, FAILED, code=initializes(EATS), reason="MemoryError"),
    Case(
        "blocks the event loop for a while",
        NOT_IMPORTED,
        WARNED,
        code=initializes("time.sleep(0.8)"),
        reason="It blocked the event loop for 0.",
    ),
    Case(
        "raises in `initialize`",
        NOT_IMPORTED,
        FAILED,
        code=initializes("raise ValueError('no')"),
        reason="ValueError: no",
    ),
    Case("`SystemExit` in `initialize`", NOT_IMPORTED, FAILED, code=initializes("sys.exit(1)"), reason="SystemExit"),
    Case(
        "raises a `BaseException` in `initialize`",
        NOT_IMPORTED,
        FAILED,
        code=initializes("class Odd(BaseException): pass\nraise Odd('base')"),
        reason="Odd: base",
    ),
    Case(
        "ends its `initialize` by a cancellation of its own",
        NOT_IMPORTED,
        FAILED,
        code=initializes("raise asyncio.CancelledError"),
        reason="CancelledError",
    ),
    Case(
        "raises an error that cannot say what it is",
        NOT_IMPORTED,
        FAILED,
        code=initializes("class Mute(Exception):\n    def __str__(self): return 1 / 0\nraise Mute"),
        reason="failed to initialize: Mute",
    ),
    Case("raises in `cleanup`", NOT_IMPORTED, CLEANED, code=CLEANS, reason="not clean"),
    Case(
        "raises a `BaseException` in `cleanup`",
        NOT_IMPORTED,
        CLEANED,
        code=CLEANS.replace("ValueError", "BaseException"),
        reason="cleanup() of 'bad' ended by BaseException",
    ),
    Case(
        "ends its `cleanup` by a cancellation of its own",
        NOT_IMPORTED,
        CLEANED,
        code=CLEANS.replace("raise ValueError", "import asyncio; raise asyncio.CancelledError"),
        reason="cleanup() of 'bad' ended by CancelledError",
    ),
    Case("registers half of its hooks, then raises", NOT_IMPORTED, FAILED, code=HALF, reason="half way"),
    Case(
        "changes `sys.path`",
        NOT_IMPORTED,
        WARNED,
        code=initializes("sys.path.insert(0, '/x')"),
        reason="It added '/x' to sys.path.",
    ),
    Case(
        "replaces a signal handler",
        NOT_IMPORTED,
        WARNED,
        code=initializes("signal.signal(signal.SIGTERM, print)"),
        reason="It replaced the handler of SIGTERM.",
    ),
]
BY_TITLE = {case.title: case for case in CASES}


@dataclass
class Run:
    """What one run of the host program showed of the bad plugin."""

    discovery: str
    start: str
    said: str
    """Reason, warnings, and what closing raised."""


@pytest.fixture
def start(site: Path, home: Path, environment: dict[str, str]) -> Callable[[bool], Run]:
    """A function that runs the host program, asserts that the good plugins are well, and returns what it showed."""
    (home / "host.py").write_text(HOST)

    def start(enabled: bool) -> Run:
        names = [*GOOD, *(["bad"] if enabled else [])]
        command = [sys.executable, "-X", "faulthandler=0", "host.py", *names]
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=home, env=environment, **options) as process:
            output, errors, killed = _watched(process, home / "hangs")
        lines = [json.loads(line) for line in output.splitlines()]
        assert lines, errors
        bad = lines[0].pop("bad", [IGNORED, "", []])
        assert {name: row[0] for name, row in lines[0].items() if name in GOOD} == dict.fromkeys(GOOD, NOT_IMPORTED)
        if len(lines) < 4:
            assert killed or process.returncode in {0, -signal.SIGABRT, -signal.SIGSEGV}, errors
            return Run(bad[0], KILLED if killed else DIES, "")
        return _ended(bad[0], lines, errors)

    return start


def _watched(process: subprocess.Popen[str], hangs: Path) -> tuple[str, str, bool]:
    """Return what a program wrote, and whether it had to be killed: 3 s after a plugin wrote the file and hung."""
    killed, begin = False, time.monotonic()
    while True:
        try:
            return *process.communicate(timeout=0.2), killed
        except subprocess.TimeoutExpired:
            late = hangs.exists() and time.time() - hangs.stat().st_mtime > 3
            if late or time.monotonic() - begin > 60:
                killed = True
                hangs.unlink()
                process.kill()


def _ended(discovery: str, lines: list[Any], errors: str) -> Run:
    """Return what a run showed that came to its end."""
    rows, answers, (closing, stopped) = lines[1:]
    state, reason, warnings = rows.pop("bad", [IGNORED, "", []])
    assert {name: rows[name][:2] for name in GOOD} == {name: [ACTIVE, ""] for name in GOOD}, errors
    assert all(one.endswith(DOUBT) for name in GOOD for one in rows[name][2]), errors
    assert answers == {name: name for name in GOOD}
    assert stopped == ["stopped"] * len(GOOD)
    said = " ".join([reason, *warnings, closing])
    if state == ACTIVE and warnings:
        return Run(discovery, WARNED, said)
    return Run(discovery, CLEANED if closing else state, said)


@pytest.mark.parametrize("title", BY_TITLE)
def test_good_plugins_survive(
    title: str, site: Path, install: Install, start: Callable[[bool], Run], program: Program
) -> None:
    case = BY_TITLE[title]
    for name in GOOD:
        install(site, name, WORKS)
    install(site, "bad", case.code, **case.options)
    if case.spoil is not None:
        case.spoil(site, install)
    first, second = start(case.enabled), start(case.enabled)
    later = SAME if first.start == second.start else second.start
    assert (first.discovery, first.start, later) == (case.discovery, case.start, case.later)
    assert case.reason in second.said
    if later == QUARANTINED:
        assert "`framework plugins unquarantine bad` lets it in again" in second.said
        assert program("plugins", "unquarantine", "bad").returncode == 0
        assert start(case.enabled).start == first.start


def page() -> str:
    """Return the page: the table of the cases, which the tests above hold."""
    rows = [f"| {case.title} | {case.discovery} | {case.start} | {case.later} |" for case in CASES]
    return "\n".join([HEAD, *rows, ""])


HEAD = """# Failure matrix

What becomes of a bad plugin, and of the program. Each row is a program with three good plugins and a bad one, whose
time limit for a start is 2 s. In every row the good ones are found without importing anything, and answer and stop in
good order whenever the program does not end. Where it ends, or has to be killed, they do so at the next start, because
the bad one is then in quarantine. `framework plugins unquarantine` lets it in again.

`tests/system/test_failure_matrix.py` runs each row, and writes this page.

| the bad plugin … | discovery | start | next start |
|---|---|---|---|"""


def test_the_page_is_the_matrix() -> None:
    with open(PAGE, encoding="utf-8") as file:
        assert file.read() == page()


if __name__ == "__main__":
    with open(PAGE, "w", encoding="utf-8") as output:
        output.write(page())
