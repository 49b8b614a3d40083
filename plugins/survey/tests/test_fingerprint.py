from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from plugin_survey.formats import HEAD, kind_of
from plugin_survey.problem import Problem
from plugin_survey.reading.fingerprint import CHUNK, SMALL, Batch, LargeFiles, Row, fingerprint_batch

NOTHING_OWN: frozenset[tuple[int, int]] = frozenset()


def batch_of(*paths: Path, seconds: float = 60) -> Batch:
    return fingerprint_batch([os.fsencode(path) for path in paths], NOTHING_OWN, seconds)


def only_problem(path: Path) -> str:
    batch = batch_of(path)
    assert not batch.rows
    return batch.problems[0].reason


def digest(found: Row | Problem) -> bytes:
    assert not isinstance(found, Problem)
    return found[6]


@pytest.mark.parametrize("size", [0, 1, 4096, SMALL - 1, SMALL])
def test_a_small_file_has_the_digest_of_its_content(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    status = path.stat()
    times = status.st_mtime_ns, status.st_ctime_ns
    identity = status.st_dev, status.st_ino
    kind = kind_of(content[:HEAD], "file")
    assert batch_of(path).rows == [(os.fsencode(path), size, *times, *identity, sha256(content).digest(), kind)]


@pytest.mark.parametrize("size", [SMALL + 1, 3 * CHUNK, 3 * CHUNK + 1])
def test_a_large_file_is_left_to_be_read_in_chunks(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    batch = batch_of(path)
    assert (batch.rows, batch.problems, batch.large) == ([], [], [os.fsencode(path)])
    large = LargeFiles()
    assert digest(large.fingerprint(os.fsencode(path))) == sha256(content).digest()
    assert large.bytes_read == size


def test_a_sparse_file_has_the_digest_of_its_zeros(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(4 * CHUNK)
    assert digest(LargeFiles().fingerprint(os.fsencode(path))) == sha256(bytes(4 * CHUNK)).digest()


def test_a_file_deleted_since_it_was_found_is_vanished(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert only_problem(path) == "vanished"
    found = LargeFiles().fingerprint(os.fsencode(path))
    assert isinstance(found, Problem)
    assert found.reason == "vanished"


def test_what_took_the_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("secret")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # opened without O_NONBLOCK this would wait for ever
    for name in ("link", "folder", "pipe"):
        assert only_problem(tmp_path / name) == "replaced"
        found = LargeFiles().fingerprint(os.fsencode(tmp_path / name))
        assert isinstance(found, Problem)
        assert found.reason == "replaced"


def test_a_name_too_long_for_the_system_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    (problem,) = batch_of(tmp_path / ("x" * 300)).problems
    assert (problem.reason, problem.detail) == ("failed", "File name too long")


def test_a_small_file_that_gives_less_than_its_size_is_changed() -> None:
    # sysfs says 4096 and gives a few bytes, as a file cut short would
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not path.exists():
        pytest.skip("no sysfs here")
    assert batch_of(path).large == [os.fsencode(path)]
    found = LargeFiles().fingerprint(os.fsencode(path))
    assert isinstance(found, Problem)
    assert found.reason == "changed"


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Path]:
    """A file that a thread appends to until the test is over."""
    path = tmp_path / "log"
    path.write_bytes(bytes(16 * CHUNK))
    started, stop = threading.Event(), threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(bytes(64))
                started.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(grow)
        started.wait(10)
        yield path
        stop.set()
        future.result()


def test_a_file_written_to_while_it_is_read_is_changed(growing: Path) -> None:
    found = LargeFiles().fingerprint(os.fsencode(growing))
    assert isinstance(found, Problem)
    assert found.reason == "changed"
    assert "bytes" in found.detail


def test_the_survey_passes_over_its_own_files(tmp_path: Path) -> None:
    path = tmp_path / "catalogue"
    path.write_text("half")
    own = frozenset({(path.stat().st_dev, path.stat().st_ino)})
    batch = fingerprint_batch([os.fsencode(path)], own, 60)
    assert (batch.rows, batch.problems, batch.large, batch.rest) == ([], [], [], [])


def test_a_batch_hands_back_what_it_had_no_time_for_but_does_one(tmp_path: Path) -> None:
    paths = [tmp_path / str(index) for index in range(5)]
    for path in paths:
        path.touch()
    batch = batch_of(*paths, seconds=0)
    assert len(batch.rows) == 1
    assert batch.rest == [os.fsencode(path) for path in paths[1:]]


def test_a_large_file_with_two_names_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(SMALL + 1))
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    large = LargeFiles()
    first, second = (digest(large.fingerprint(os.fsencode(tmp_path / name))) for name in ("one", "two"))
    assert first == second
    assert large.bytes_read == SMALL + 1


def test_stopping_ends_a_large_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    large = LargeFiles()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(large.fingerprint, os.fsencode(path))
        while not large.bytes_read and not future.done():
            os.sched_yield()
        large.stop()
        with pytest.raises(InterruptedError):
            future.result(timeout=30)  # reading all of it would take a quarter of an hour
    with pytest.raises(InterruptedError):
        large.fingerprint(os.fsencode(path))


def test_files_and_folders_without_permission_are_denied_and_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "unseen").touch()
    (tmp_path / "folder").chmod(0)
    script = (
        "import os, sys\n"
        "from plugin_survey.reading.walk import Walker\n"
        "from plugin_survey.reading.fingerprint import fingerprint_batch\n"
        "walker = Walker([os.fsencode(sys.argv[1])])\n"
        "paths = walker.portion()\n"
        "for one in [*walker.take_problems(), *fingerprint_batch(paths, frozenset(), 60).problems]:\n"
        "    print(os.path.basename(one.path).decode(), one.reason, one.folder)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    if os.geteuid() == 0:
        # root may read everything, unless it gives up that very right
        if shutil.which("setpriv") is None:
            pytest.skip("running as root, and setpriv (Debian package util-linux) is not installed")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    finally:
        (tmp_path / "folder").chmod(0o700)
    assert sorted(output.splitlines()) == ["file denied False", "folder denied True"]
