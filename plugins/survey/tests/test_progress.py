from __future__ import annotations

import pytest

from plugin_survey.progress import Lines, Quiet, TerminalBar, choose


def test_quiet_beats_a_terminal() -> None:
    assert type(choose(print, quiet=True, interactive=True)) is Quiet
    assert type(choose(print, quiet=False, interactive=True)) is TerminalBar
    assert type(choose(print, quiet=False, interactive=False)) is Lines


def test_lines_come_no_more_often_than_their_interval() -> None:
    said: list[str] = []
    with Lines(said.append, interval=3600) as lines:
        lines.show(1, 1)
    assert said == []
    with Lines(said.append, interval=0) as lines:
        lines.show(1234, 2048)
    assert len(said) == 1
    assert said[0].startswith("survey: 1,234 files, 2.0 KiB, ")


def test_the_bar_goes_to_standard_error_and_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalBar() as bar:
        bar.expect(10)
        bar.show(5, 1 << 20)
    assert capsys.readouterr().out == ""
    assert bar._bar.tasks[0].completed == 5
    assert bar._bar.tasks[0].total == 10
    assert bar._bar.tasks[0].fields["size"] == "1.0 MiB"
