"""Who ended the interpreter while starting is found in quarantine by the next start; nobody else is."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from framework import directories, quarantine
from framework.quarantine import Quarantine, Sweep

STARTS = """
import os, sys, time, ctypes, signal
from framework.quarantine import Quarantine
with Quarantine({place!r}).starting({name!r}, "1.0") as marker:
    marker.enter("initialize")
    marker.runs()
    print("started", flush=True)
    {ending}
"""
ENDINGS = {
    "abort": "os.abort()",
    "segfault": "ctypes.string_at(0)",
    "exits": "os._exit(0)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "plugins"


@pytest.fixture
def hanging(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is starting the plugin `hangs`, and does not get on."""
    with start(place, "hangs", "sys.stdin.read()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process
        process.kill()


def start(place: Path, name: str, ending: str) -> subprocess.Popen[bytes]:
    code = STARTS.format(place=str(place), name=name, ending=ending)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-X", "faulthandler=0", "-c", code], **pipes)  # type: ignore[call-overload,no-any-return]  # pipes are of one type


def die(place: Path, name: str, ending: str = "os._exit(0)") -> int:
    with start(place, name, ending) as process:
        process.communicate()
    return process.pid


def markers(place: Path) -> list[Path]:
    return sorted(place.glob("*.starting"))


@pytest.mark.parametrize("name", ENDINGS)
def test_who_ended_the_interpreter_while_starting_is_quarantined_by_the_next_sweep(place: Path, name: str) -> None:
    number = die(place, name, ENDINGS[name])
    assert quarantine.quarantined(directory=str(place)).keys() == {name}
    (record,) = Quarantine(str(place)).records().values()
    assert (record.name, record.version) == (name, "1.0")
    assert record.reason.startswith(
        f"It took the interpreter down while it was being initialized (process {number}, 20"
    )
    assert abs(record.since - time.time()) < 60
    assert markers(place) == []
    assert Quarantine(str(place)).sweep() == Sweep()


@pytest.mark.parametrize("error", [None, ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_a_start_that_ends_in_good_order_leaves_nothing(place: Path, error: type[BaseException] | None) -> None:
    one = Quarantine(str(place))

    def attempt() -> None:
        with one.starting("good", "1.0"):
            assert len(markers(place)) == 1
            if error is not None:
                raise error

    if error is None:
        attempt()
    else:
        with pytest.raises(error):
            attempt()
    assert list(place.iterdir()) == []
    assert one.sweep() == Sweep()


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_a_start_that_is_interrupted_when_it_is_overdue_counts_as_hung(place: Path, error: type[BaseException]) -> None:
    one = Quarantine(str(place))

    def attempt() -> None:
        with one.starting("slow", "1.0", overdue_after=0) as marker:
            marker.enter("import")
            raise error

    with pytest.raises(error):
        attempt()
    (record,) = one.sweep().added
    assert record.name == "slow"
    assert record.reason.startswith("It hung while it was being imported, and was interrupted after 0 s (process ")


def test_an_overdue_start_that_fails_by_itself_is_no_hang(place: Path) -> None:
    one = Quarantine(str(place))
    with pytest.raises(ValueError, match="late"), one.starting("slow", "1.0", overdue_after=0):
        raise ValueError("late")
    assert one.sweep() == Sweep()


def test_the_marker_of_a_living_process_is_left_alone(place: Path, hanging: subprocess.Popen[bytes]) -> None:
    one = Quarantine(str(place))
    with one.starting("mine", "1.0"):
        assert one.sweep() == Sweep()
        assert len(markers(place)) == 2
    os.kill(hanging.pid, signal.SIGSTOP)
    assert one.sweep() == Sweep()
    hanging.kill()
    hanging.wait()
    assert [record.name for record in one.sweep().added] == ["hangs"]


def test_of_several_starting_at_once_each_is_a_suspect(place: Path) -> None:
    ending = f"other = Quarantine({str(place)!r}).starting('second'); other.__enter__().runs(); os._exit(1)"
    die(place, "first", ending)
    die(place, "alone")
    reasons = quarantine.quarantined(directory=str(place))
    assert reasons.keys() == {"first", "second", "alone"}
    assert reasons["first"].endswith(" second was being started too, and may be to blame.")
    assert reasons["second"].endswith(" first was being started too, and may be to blame.")
    assert "to blame" not in reasons["alone"]


def test_of_several_starting_at_once_the_one_whose_code_was_running_is_to_blame(place: Path) -> None:
    ending = f"""
    with Quarantine({str(place)!r}).starting("waits", "1.0") as other:
        other.runs()
        other.waits()
        os._exit(1)"""
    die(place, "runs", ending)
    reasons = quarantine.quarantined(directory=str(place))
    assert reasons.keys() == {"runs"}
    assert "to blame" not in reasons["runs"]
    assert markers(place) == []


def test_where_nobodys_code_was_running_it_must_happen_twice_in_a_row(place: Path) -> None:
    one = Quarantine(str(place))
    for _ in range(2):  # a start that ends in good order clears the suspicion
        die(place, "waits", "marker.waits(); os._exit(1)")
        assert one.sweep() == Sweep()
        assert [file.name for file in place.iterdir()] == ["waits.suspected"]
        with one.starting("waits", "1.0"):
            pass
        assert list(place.iterdir()) == []
    die(place, "waits", "marker.waits(); os._exit(1)")
    assert one.sweep() == Sweep()
    die(place, "waits", "marker.waits(); os._exit(1)")
    assert [record.name for record in one.sweep().added] == ["waits"]
    assert [file.name for file in place.iterdir()] == ["waits.quarantined"]


def test_a_forked_child_that_leaves_the_block_does_not_remove_the_marker(place: Path) -> None:
    die(place, "forks", "(os.waitpid(child, 0), os._exit(1)) if (child := os.fork()) else None")
    assert quarantine.quarantined(directory=str(place)).keys() == {"forks"}


def test_a_child_that_is_alive_does_not_hold_the_lock_of_its_parent(place: Path) -> None:
    child = "(print('child', flush=True), sys.stdin.read())"
    with start(place, "forks", f"os._exit(1) if os.fork() else {child}") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == [b"started\n", b"child\n"]
        process.wait()
        assert [one.name for one in Quarantine(str(place)).sweep().added] == ["forks"]
        process.stdin.close()


def test_an_upgrade_lets_a_plugin_out_and_says_so(place: Path) -> None:
    one = Quarantine(str(place))
    kept = one.add("kept", "1.0", "Why.")
    upgraded = one.add("upgraded", "1.0", "Why.")
    always = one.add("always", "", "Whatever the version.")
    sweep = one.sweep({"kept": "1.0", "upgraded": "1.1", "always": "2.0"})
    assert sweep == Sweep(lifted=(upgraded,))
    assert one.records() == {"always": always, "kept": kept}


def test_a_version_that_is_not_known_before_the_import_lets_nobody_out(place: Path) -> None:
    one = Quarantine(str(place))
    declared = one.add("declared", "1.0", "Its decorator says the version.")
    assert one.sweep({"declared": ""}) == Sweep()
    assert one.records() == {"declared": declared}


def test_a_plugin_is_put_in_and_let_out_by_hand(place: Path) -> None:
    one = Quarantine(str(place))
    assert one.lift("some") is False
    record = one.add("some", "1.0", "It is bad.")
    assert one.records() == {"some": record}
    assert one.lift("some") is True
    assert one.lift("some") is False
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", ".", "ä", "x" * 4000, "a b\n", "\udcff", "", "a%2f.b"])
def test_whatever_a_plugin_is_called_its_record_stays_in_the_directory(place: Path, name: str) -> None:
    one = Quarantine(str(place))
    record = one.add(name, "1", "Why.")
    assert len(list(place.iterdir())) == 1
    assert one.records() == {name: record}
    assert one.lift(name)


def test_names_that_look_alike_have_records_of_their_own(place: Path) -> None:
    one = Quarantine(str(place))
    names = {"a/b", "a%2f.b", "a.b", "x" * 300, "x" * 301, "A", "a"}
    for name in names:
        one.add(name, "", name[:9])
    assert one.records().keys() == names


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": 1}', b"." + b"[" * 10_000, b"x" * 100_000, b"!{}"]
)
def test_files_that_are_none_of_ours_harm_nobody(place: Path, content: bytes) -> None:
    one = Quarantine(str(place))
    one.add("real", "1.0", "Why.")
    (place / "1-2-3.starting").write_bytes(content)
    (place / "other.quarantined").write_bytes(content)
    (place / "notes.txt").write_bytes(content)
    assert one.sweep() == Sweep()
    assert one.records().keys() == {"real"}
    assert markers(place) == []
    assert (place / "notes.txt").exists()


def test_links_and_pipes_are_not_followed(place: Path, tmp_path: Path) -> None:
    one = Quarantine(str(place))
    one.add("real", "1.0", "Why.")
    target = tmp_path / "target"
    target.write_text('{"name": "x", "version": "", "process": 1, "born": 1, "started": 1.0}\n')
    (place / "link.starting").symlink_to(target)
    (place / "real2.quarantined").symlink_to(place / "real.quarantined")
    os.mkfifo(place / "pipe.starting")
    os.mkfifo(place / "pipe.quarantined")
    assert one.sweep() == Sweep()
    assert one.records().keys() == {"real"}
    assert target.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_believed(place: Path) -> None:
    one = Quarantine(str(place))
    one.add("forged", "1.0", "Why.")
    os.chown(place / "forged.quarantined", 12345, 12345)
    assert Quarantine(str(place)).records() == {}
    os.chown(place, 12345, 12345)
    assert Quarantine(str(place)).sweep() == Sweep()
    with Quarantine(str(place)).starting("x", "1"):
        assert markers(place) == []


def test_the_directory_and_its_files_are_private(place: Path) -> None:
    one = Quarantine(str(place))
    one.add("some", "1.0", "Why.")
    with one.starting("other", "1.0"):
        modes = {stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_without_a_directory_plugins_start_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    one = Quarantine(str(blocker / "plugins"))
    with caplog.at_level(logging.WARNING, "framework"):
        for _ in range(3):
            with one.starting("any", "1.0") as marker:
                marker.enter("import")
            with Quarantine(str(blocker / "plugins")).starting("any", "1.0"):
                pass
        assert one.sweep() == Sweep()
        assert one.records() == {}
        assert one.lift("any") is False
    assert len(caplog.records) == 1
    assert "quarantine_unavailable" in str(caplog.records[0].msg)


def test_looking_makes_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert quarantine.quarantined({"some": "1.0"}) == {}
    assert list(tmp_path.iterdir()) == []
    Quarantine().add("some", "1.0", "Why.")
    assert quarantine.quarantined({"some": "1.0"}) == {"some": "Why."}
    assert quarantine.quarantined({"some": "1.1"}) == {}


@pytest.mark.parametrize("home", [None, "", "relative", "/abs/olute", " /spaces "])
def test_the_usual_place_is_that_of_platformdirs(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    if home is None:
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_STATE_HOME", home)
    expected = os.path.join(platformdirs.user_state_dir("framework", appauthor=False), "plugins")
    assert directories.state_path("plugins") == expected


def test_threads_start_plugins_side_by_side(place: Path) -> None:
    one = Quarantine(str(place))
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for _ in range(50):
                with one.starting(f"p{number}", "1") as marker:
                    marker.enter("import")
                    assert one.sweep() == Sweep()
        except BaseException as error:  # what a thread raises would be lost otherwise
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(place.iterdir()) == []


def test_two_sweeps_at_once_report_each_plugin_once(place: Path) -> None:
    names = [f"p{number}" for number in range(6)]
    for name in names:
        die(place, name)
    code = f"""
import json
from framework.quarantine import Quarantine
one = Quarantine({str(place)!r})
print(json.dumps([[each.name for each in one.sweep().added], sorted(one.records())]))
"""
    sweeps = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    answers = [json.loads(sweep.communicate()[0]) for sweep in sweeps]
    assert sorted(name for added, _ in answers for name in added) == names
    assert all(records == names for _, records in answers)
