"""What cannot be pickled, on any way there or back: named by its place, and costing its own task only."""

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError
from plugin_executors.process_pool import ProcessPool
from plugin_executors.unpicklable import culprit

LOCK = threading.Lock()


class Slotted:
    """Keeps a thing without a dictionary."""

    __slots__ = ("inner",)

    def __init__(self, inner: object) -> None:
        self.inner = inner


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    pool = ProcessPool("pool", 1)
    yield pool
    pool.shutdown()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([1, {"a": (2, LOCK)}], "it[1]['a'][1]"),
        ({"deep": {"er": [LOCK]}}, "it['deep']['er'][0]"),
        (Slotted([LOCK]), "it.inner[0]"),
        (ValueError("x", LOCK), "it.args[1]"),
        (functools.partial(print, 1, [LOCK]), "it.args[1][0]"),
        (functools.partial(print, file=LOCK), "it.keywords['file']"),
        (LOCK, "it"),
    ],
)
def test_the_innermost_part_is_named(value: object, place: str) -> None:
    assert culprit(value, "it") == (place, LOCK)


@pytest.mark.parametrize(
    ("call", "place"),
    [
        ((lambda: None,), "the function, a function"),
        ((print, 1, {"key": [LOCK]}), "args[1]['key'][0], a lock"),
        ((LOCK.acquire,), "the function.__self__, a lock"),
    ],
)
def test_a_call_is_refused_with_the_place(pool: ProcessPool, call: tuple[Any, ...], place: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"'pool' cannot send .* to a worker") as caught:
        pool.submit(*call)
    assert f"{place}, cannot be pickled: " in caught.value.problem


def test_a_named_argument_is_refused_with_its_name(pool: ProcessPool) -> None:
    with pytest.raises(InvalidRequestError, match=r"kwargs\['file'\], a lock, cannot be pickled"):
        pool.submit(dict, file=LOCK)


PROGRAM = """
import threading
from plugin_executors import ConcurrencyManager

class Fussy(Exception):
    def __init__(self, one, two):
        super().__init__("told to fail")

class Mute(Exception):
    def __str__(self):
        raise ValueError

    def __reduce__(self):
        raise Mute

class Shy:
    @property
    def args(self):
        raise ValueError

    def __reduce__(self):
        raise Mute

class Other(Exception):
    def __reduce__(self):
        return str, ("text",)

def difficult(number):
    if number == 0:
        raise Mute
    if number == 1:
        return Shy()
    raise Other

class Hidden:
    def __reduce__(self):
        return (int, ("no number",))

def task(number):
    if number == 1:
        return {"kept": [threading.Lock()]}
    if number == 2:
        raise ValueError("bad", threading.Lock())
    if number == 3:
        raise Fussy(1, 2)
    if number == 4:
        return Hidden()
    return number

def main():
    with_workers = ConcurrencyManager()
    for chunksize in (1, 7):
        found = list(with_workers.map_tasks_in_process_pool(task, range(8), chunksize=chunksize, outcomes=True))
        print([one.value for one in found])
        print(*[f"{type(one.error).__name__}: {one.error}" for one in found if one.error], sep="\\n")
    for number in range(3):
        print(with_workers.run_in_process_pool(difficult, number).exception())
    try:
        with_workers.run_in_process_pool(difficult, Shy())
    except Exception as error:
        print(error)
    with_workers.close()

if __name__ == "__main__":
    main()
"""


def test_results_and_exceptions_are_named_and_cost_their_own_task(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    *lines, mute, shy, other, argument = done.stdout.splitlines()
    assert "difficult() raised Mute, which a worker cannot send back: exception, a Mute, cannot be" in mute
    assert "result, a Shy, cannot be pickled and loaded again: Mute" in shy
    assert "difficult() raised Other: , which a worker cannot send back" in other
    assert "again: TypeError: it becomes a str" in other
    assert "args[0], a Shy, cannot be pickled: Mute" in argument
    half = len(lines) // 2
    alike = [re.sub("0x[0-9a-f]+", "", line) for line in lines]
    assert alike[:half] == alike[half:], "alone or in a chunk, it is the same"
    values, result, error, fussy, hidden = lines[:half]
    assert values == str([0, None, None, None, None, 5, 6, 7])
    assert result.startswith(
        "ResourceError: executor.process 'concurrency-process': task() returned dict, which a worker"
    )
    assert "result['kept'][0], a lock, cannot be pickled" in result
    assert "task() raised ValueError: ('bad', <unlocked _thread.lock object at" in error
    assert "exception.args[1], a lock, cannot be pickled" in error
    assert "task() raised Fussy: told to fail, which a worker cannot send back" in fussy
    assert "the result of task() cannot be loaded: ValueError: invalid literal" in hidden


def test_an_argument_that_cannot_be_pickled_costs_its_own_task_of_a_map(pool: ProcessPool) -> None:
    tasks = pool.map(str, [1, LOCK, 3], chunksize=3)
    assert next(tasks) == "1"
    with pytest.raises(InvalidRequestError, match=r"args\[0\], a lock, cannot be pickled"):
        next(tasks)
    assert next(tasks) == "3"
    assert next(tasks, "over") == "over"
