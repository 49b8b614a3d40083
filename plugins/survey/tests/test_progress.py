from __future__ import annotations

import json

import pytest

from plugin_survey.progress import JsonLines, Lines, Quiet, TerminalBar, choose
from plugin_survey.status import Status


def status(done: int = 5, total: int | None = 10, size: int = 1 << 20) -> Status:
    made = Status(budget=128 << 20, last_error="/x: broken")
    made.begin("fingerprint", 3).done = 3
    stage = made.begin("inspect", total)
    stage.done, stage.bytes = done, size
    made.measured(64 << 20)
    made.waiting = ["the task 'b' waits for 'a'"]
    return made


def test_what_is_shown_follows_the_choice_and_otherwise_the_terminal() -> None:
    for how, interactive, kind in (
        ("none", True, Quiet),
        ("auto", True, TerminalBar),
        ("auto", False, Lines),
        ("lines", True, Lines),
        ("json", True, JsonLines),
    ):
        assert type(choose(how, print, interactive=interactive)) is kind


def test_lines_come_no_more_often_than_their_interval() -> None:
    said: list[str] = []
    with Lines(said.append, interval=3600, first=3600) as lines:
        lines.show(status())
    assert said == []
    with Lines(said.append, interval=3600, first=0) as lines:
        lines.show(status(1234, 5000, 2048))
        lines.show(status())
    assert len(said) == 1
    assert said[0].startswith("survey: inspect: 1,234 of 5,000 files, 2.0 KiB, ")
    assert said[0].endswith(" s left, memory 64.0 MiB of 128.0 MiB; last error: /x: broken")


def test_json_has_every_stage_and_comes_once_more_at_the_end() -> None:
    said: list[str] = []
    with JsonLines(said.append, interval=3600, first=0) as lines:
        lines.show(status())
        lines.show(status(done=10))
    first, last = map(json.loads, said)
    assert [(one["stage"], one["done"], one["ended"]) for one in first["stages"]] == [
        ("fingerprint", 3, True),
        ("inspect", 5, False),
    ]
    assert first["stages"][1]["remaining_s"] >= 0
    assert (first["memory"], first["budget"], first["last_error"]) == (64 << 20, 128 << 20, "/x: broken")
    assert last["stages"][1]["done"] == 10
    assert last["waiting"] == ["the task 'b' waits for 'a'"]


def test_the_bars_go_to_standard_error_and_leave_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalBar() as bar:
        bar.show(status())
    assert capsys.readouterr().out == ""
    done = [(task.description, task.completed, task.total) for task in bar._bars.tasks]
    assert done == [("fingerprint", 3, 3), ("inspect", 5, 10)]
    assert bar._bars.tasks[1].fields["size"] == "1.0 MiB"
    assert "64.0 MiB of 128.0 MiB" in bar._note.plain
    assert "/x: broken" in bar._note.plain


def test_what_went_wrong_last_is_one_line_that_a_terminal_does_not_obey() -> None:
    made = Status()
    made.failed(b"/new\nline", "it has \x1b[31m")
    assert made.last_error == r"/new\nline: it has \x1b[31m"
