from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from plugin_survey.budget import Confines
from plugin_survey.inspecting import inspection
from plugin_survey.inspecting.inspection import FAILED, Inspected, Item, inspect_batch


def item(path: Path, kind: str, number: int = 1, **other: Any) -> Item:
    found = path.stat()
    made = Item(number, os.fsencode(path), found.st_size, found.st_mtime_ns, kind, checking=True, reading=True)
    return made._replace(**other)


def inspected(*items: Item, seconds: float = 60, text: int = 1 << 20) -> Inspected:
    return inspect_batch(items, Confines(text=text), seconds)


def test_a_whole_archive_is_ok_and_a_cut_one_damaged(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.zip", tmp_path / "cut.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("member", "content" * 100)
    cut.write_bytes(whole.read_bytes()[:-30])
    found = inspected(item(whole, "zip"), item(cut, "zip", 2))
    assert [(one.number, one.verdict) for one in found.looks] == [(1, "ok"), (2, "damaged")]
    assert found.looks[1].problem
    assert (found.done, found.problems) == (2, [])


def test_only_what_was_asked_for_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"word": 1}')
    (look,) = inspected(item(path, "json", checking=False)).looks
    assert (look.verdict, "word" in (look.body or "")) == (None, True)
    (look,) = inspected(item(path, "json", reading=False)).looks
    assert (look.verdict, look.body) == ("ok", None)


def test_a_file_that_changed_or_vanished_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    changed = item(path, "text", size=3)
    gone = item(path, "text")._replace(path=b"/nowhere")
    assert [one.reason for one in inspected(changed, gone).problems] == ["changed", "vanished"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc to see that a file is open")
def test_a_file_that_is_written_to_while_it_is_looked_into_is_no_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + "[1, 2, 3],\n" * 3_000_000 + "0]")

    def is_open() -> bool:
        return any(
            os.path.realpath(f"/proc/self/fd/{one}") == str(path.resolve()) for one in os.listdir("/proc/self/fd")
        )

    def shorten() -> None:
        while not is_open():
            pass
        os.truncate(path, 1 << 20)

    one = item(path, "json")
    writer = threading.Thread(target=shorten)
    writer.start()
    found = inspected(one)
    writer.join()
    assert ([problem.reason for problem in found.problems], found.looks) == (["changed"], [])


def test_a_batch_hands_back_what_there_is_no_time_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    found = inspected(item(path, "text"), item(path, "text", 2), seconds=0)
    assert (found.done, len(found.looks)) == (1, 1)


def test_a_batch_hands_back_the_rest_when_there_is_much_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    assert inspected(item(path, "text"), item(path, "text", 2), text=3).done == 1


def test_a_file_that_takes_too_long_costs_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object, **__: object) -> None:
        while True:
            pass

    path = tmp_path / "a.zip"
    path.write_bytes(b"x")
    with monkeypatch.context() as patch:
        patch.setattr(inspection, "check", endless)
        patch.setattr(inspection, "PATIENCE", 0.2)
        (look,) = inspected(item(path, "zip")).looks
    assert look.verdict == FAILED
    assert "more than 0 s" in look.problem


CONFINED = """
from plugin_survey.inspecting import inspection
from plugin_survey.inspecting.inspection import Item, inspect_batch
from plugin_survey.budget import Confines
import os, sys
def greedy(*_, **__):
    return bytearray(200 << 20)
inspection.check = greedy
path = os.fsencode(sys.argv[1])
found = os.stat(path)
item = Item(1, path, found.st_size, found.st_mtime_ns, "zip", True, False)
print(inspect_batch([item], Confines(100 << 20, last=True), 60.0).looks[0].problem)
"""


TIGHT = """
from plugin_survey.inspecting.inspection import Item, inspect_batch
from plugin_survey.budget import Confines
import os, sys
path = os.fsencode(sys.argv[1])
found = os.stat(path)
item = Item(1, path, found.st_size, found.st_mtime_ns, "xml", True, False)
print(inspect_batch([item], Confines(3 << 20), 60.0).again)
print(inspect_batch([item], Confines(3 << 20, last=True), 60.0).looks[0].problem)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to confine a process")
def test_what_a_real_check_has_no_memory_for_is_tried_alone_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"<a b='%b'/>" % (b"x" * (7 << 19)))
    done = subprocess.run([sys.executable, "-c", TIGHT, path], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[1]\nit takes more memory than the 3 MiB that a worker could have\n", done.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to confine a process")
def test_a_file_that_wants_more_memory_than_allowed_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "it takes more memory than the 100 MiB that a worker could have\n", done.stderr
