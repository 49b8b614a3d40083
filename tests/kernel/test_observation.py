"""What a plugin changes for everybody is said in one sentence each; what it leaves alone is not mentioned."""

from __future__ import annotations

import subprocess
import sys
import timeit

import pytest

from framework.plugins.observation import changes, look

WATCHED = """
import builtins, gc, locale, logging, os, signal, sys, threading, warnings
import asyncio
from framework.plugins.observation import changes, look
asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
before = look()
{change}
for sentence in changes(before, look()):
    sys.__stdout__.write(sentence + '\\n')
"""
CHANGES = [
    ("sys.path.insert(0, '/x')", "It added '/x' to sys.path."),
    ("sys.path[:0] = '1234567'", "It added '1', '2', '3', '4', '5' and 2 more to sys.path."),
    ("sys.path.remove(sys.path[-1])", "It removed "),
    ("sys.path.reverse()", "It changed the order of sys.path."),
    ("sys.meta_path.append(object())", "It changed how modules are found: sys.meta_path or sys.path_hooks."),
    ("signal.signal(signal.SIGTERM, print)", "It replaced the handler of SIGTERM."),
    ("signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "It replaced the handler of SIGPIPE."),
    ("os.environ['A_NAME'] = 'a secret'", "It changed the environment: 'A_NAME'."),
    ("del os.environ['PATH']", "It changed the environment: 'PATH'."),
    ("os.chdir('/')", "It changed the working directory to '/'."),
    ("os.umask(0o077 if os.umask(0o022) != 0o077 else 0o022)", "It changed the umask from "),
    ("locale.setlocale(locale.LC_ALL, 'C.UTF-8')", "It changed the locale from "),
    ("logging.basicConfig()", "It changed the handlers of the root logger."),
    ("logging.root.setLevel(10)", "It changed the level of the root logger from 30 to 10."),
    (
        "threading.Thread(target=threading.Event().wait, name='t', daemon=True).start()",
        "It left a thread running: 't'.",
    ),
    ("builtins.print = lambda *a, **k: None", "It changed builtins: 'print'."),
    ("builtins.surprise = 1", "It changed builtins: 'surprise'."),
    ("sys.excepthook = print", "It replaced sys.excepthook."),
    ("threading.excepthook = print", "It replaced threading.excepthook."),
    ("sys.stdout = sys.stderr", "It replaced sys.stdout."),
    ("sys.setprofile(lambda *a: None)", "It set a trace or profile function."),
    ("asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())", "It replaced the event loop policy."),
    ("sys.setrecursionlimit(5000)", "It changed the recursion limit from 1000 to 5000."),
    ("sys.setswitchinterval(1.0)", "It changed the switch interval from 0.005 to 1.0."),
    ("gc.disable()", "It changed the garbage collector (enabled) from True to False."),
    ("gc.set_threshold(1, 2, 3)", "It changed the garbage collector (thresholds) from "),
    ("warnings.simplefilter('ignore')", "It changed the filters of warnings."),
]


def observed(change: str) -> str:
    """Return what is said of a change that a program of its own makes."""
    code = WATCHED.format(change=change)
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("change", "sentence"), CHANGES, ids=[change[:30] for change, _ in CHANGES])
def test_each_change_is_said_in_one_sentence(change: str, sentence: str) -> None:
    text = observed(change)
    assert text.startswith(sentence)
    assert text.count("It ") == 1
    assert "a secret" not in text


@pytest.mark.parametrize(
    "change",
    [
        "pass",
        "import json, decimal, sqlite3, multiprocessing, unittest",
        "asyncio.run(asyncio.sleep(0))",
        "asyncio.run(asyncio.to_thread(int))",
        "t = threading.Thread(target=int); t.start(); t.join()",
    ],
)
def test_what_is_left_alone_is_not_mentioned(change: str) -> None:
    assert observed(change) == ""


def test_a_directory_that_is_gone_is_no_obstacle(tmp_path: object) -> None:
    text = observed(f"d = {str(tmp_path)!r} + '/x'; os.mkdir(d); os.chdir(d); os.rmdir(d)")
    assert text == "It changed the working directory to ''.\n"


def test_looking_is_cheap() -> None:
    """Two looks and the comparison take 80 µs; the limit leaves room for a busy machine and a large environment."""
    before = look()
    assert min(timeit.repeat(lambda: changes(before, look()), number=20, repeat=20)) / 20 < 0.001
