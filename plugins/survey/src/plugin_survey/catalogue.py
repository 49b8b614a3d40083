"""`Catalogue`, the SQLite database of one survey.

It is built in a temporary file without a journal, which is twice as fast and loses nothing: a catalogue that was not
finished is never published. Tables: `run` (one row), `file` (one row for each fingerprinted name), `problem`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from plugin_survey.fingerprint import Row
from plugin_survey.former import head_of
from plugin_survey.problem import Problem

APPLICATION_ID = 0x46535659
"""Marks an SQLite file as a catalogue: `FSVY`."""
SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE run (
    started_at REAL NOT NULL, finished_at REAL NOT NULL,
    roots TEXT NOT NULL, options TEXT NOT NULL, algorithm TEXT NOT NULL
);
CREATE TABLE file (
    path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL, digest BLOB NOT NULL
);
CREATE TABLE problem (
    path BLOB NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, folder INTEGER NOT NULL
);
"""
_TWINS = """
SELECT file.size, file.digest, path, device, inode FROM file
JOIN (SELECT size, digest FROM file WHERE size >= ? GROUP BY size, digest HAVING COUNT(*) > 1) AS twin
ON file.size = twin.size AND file.digest = twin.digest
ORDER BY file.size, file.digest, path
"""
_MOST = 1 << 63

Twin = tuple[int, bytes, bytes, int, int]
"""Size, digest, path, device, inode of a file whose content another name has too."""


class Run(NamedTuple):
    """What a catalogue says of the survey that made it; `roots` and `options` are kept as JSON."""

    started_at: float
    roots: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]
    algorithm: str


class Catalogue:
    """One catalogue being built. Its methods may be called from any thread, one at a time.

    Args:
        path: An empty file, which becomes the database.
        shown_as: What error messages call it: where it will be published.

    Raises:
        ResourceUnavailableError: There is no space, or it cannot be written.
    """

    def __init__(self, path: str, *, shown_as: str = "") -> None:
        self._shown = shown_as or path
        self._lock = threading.Lock()
        self._closing = False
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._begin()
        except BaseException:
            self._database.close()
            raise

    def add(self, rows: Sequence[Row], problems: Sequence[Problem]) -> None:
        """Enter some files and problems.

        Raises:
            ResourceUnavailableError: There is no space, or it cannot be written.
        """
        with self._guarded():
            try:
                self._insert(rows)
            except OverflowError:
                # SQLite counts in 64 bits with sign: inodes of some overlays and times beyond 2262 do not fit
                self._insert([_fitting(row) for row in rows])
            if problems:
                self._database.executemany("INSERT INTO problem VALUES (?, ?, ?, ?)", problems)

    def _insert(self, rows: Sequence[Row]) -> None:
        (last,) = self._database.execute("SELECT COALESCE(MAX(rowid), 0) FROM file").fetchone()
        try:
            self._database.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", rows)
        except OverflowError:
            # there is no journal to roll back with
            self._database.execute("DELETE FROM file WHERE rowid > ?", (last,))
            raise

    def _begin(self) -> None:
        with self._guarded():
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32768"):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._database.executescript(_TABLES)
            # an interrupt is lost on a query that is about to start; this is not
            self._database.set_progress_handler(lambda: self._closing, 100_000)
            self._database.execute("BEGIN")

    def index(self) -> None:
        """Make the index by content, which `twins` reads; to be called once, after the last `add`."""
        with self._guarded():
            self._database.execute("CREATE INDEX file_by_content ON file (size, digest)")

    def twins(self, min_size: int) -> Iterator[Twin]:
        """Yield the files of at least `min_size` bytes whose content another name has too, equal ones together."""
        with self._guarded():
            yield from self._database.execute(_TWINS, (min_size,))

    def totals(self) -> tuple[int, int, int]:
        """Return how many names were fingerprinted, how many files they are, and the bytes of those files."""
        with self._guarded():
            found = self._database.execute(
                "SELECT SUM(names), COUNT(*), SUM(size) FROM"
                " (SELECT COUNT(*) AS names, size FROM file GROUP BY device, inode)"
            ).fetchone()
        return found[0] or 0, found[1], found[2] or 0

    def problems(self) -> Iterator[Problem]:
        """Yield every problem, by reason and then by path."""
        with self._guarded():
            for path, reason, detail, folder in self._database.execute(
                "SELECT path, reason, detail, folder FROM problem ORDER BY reason, path"
            ):
                yield Problem(path, reason, detail, bool(folder))

    def finish(self, run: Run) -> None:
        """Enter the run, check the whole database, and close it.

        Raises:
            ResourceUnavailableError: There is no space, or it cannot be written.
            ResourceError: The check found it damaged.
        """
        values = (run.started_at, time.time(), json.dumps(run.roots), json.dumps(run.options), run.algorithm)
        with self._guarded():
            self._database.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?)", values)
            self._database.execute("COMMIT")
            (verdict,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        self.close()
        if verdict != "ok":
            raise ResourceError(
                f"The catalogue {self._shown} was damaged while it was written: {verdict}.",
                "Check the disk; what was there before is untouched.",
            )

    def close(self) -> None:
        """Close the database, ending a query that runs in another thread; twice is harmless."""
        self._closing = True
        with suppress(sqlite3.ProgrammingError):  # closed already
            self._database.interrupt()
        with self._lock:
            self._database.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise ResourceUnavailableError(
                f"The catalogue {self._shown} could not be written: {error}.",
                "Make room or choose another place with --catalogue; what was there before is untouched.",
                resource=self._shown,
            ) from error


def check_replaceable(path: str) -> None:
    """Refuse to replace a file that is not a catalogue.

    Raises:
        InvalidRequestError: Something else is there.
    """
    head = head_of(path, 100, "catalogue")
    ours = head[:16] == b"SQLite format 3\0" and head[68:72] == APPLICATION_ID.to_bytes(4, "big")
    if head and not ours:
        raise InvalidRequestError(
            f"{path} exists and is not a catalogue of a survey, so it is not replaced.",
            "Choose another file, or remove it.",
        )


def _fitting(row: Row) -> Row:
    path, size, mtime_ns, device, inode, digest = row
    return (path, size, max(-_MOST, min(_MOST - 1, mtime_ns)), _signed(device), _signed(inode), digest)


def _signed(number: int) -> int:
    return number - 2 * _MOST if number >= _MOST else number
