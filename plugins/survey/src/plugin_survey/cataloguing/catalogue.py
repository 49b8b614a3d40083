"""`Catalogue`, the SQLite database that a run of the survey brings up to date.

It is written to beside the published one, and committed about once a second: whoever is killed leaves what was
committed, which the next run goes on with. Nothing is synchronised with the disk before it is published, so only a
crash of the whole machine can damage a catalogue that is not, which is found out when it is opened again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from framework.errors import ResourceError, ResourceUnavailableError
from plugin_survey.cataloguing.schema import APPLICATION_ID, BUT_TEXTS, FORMER, INDEXES, SCHEMA_VERSION, TABLES
from plugin_survey.problem import Problem
from plugin_survey.reading.fingerprint import Row

COMMIT_INTERVAL = 1.0
"""Seconds after which what was entered is committed, so that no more is lost to a kill."""
CACHE = 32 << 20
"""Bytes of the database that are kept in memory, where nobody says otherwise."""
KEPT_RUNS = 50
"""Runs of which samples and the like are kept."""
UNSETTLED_NS = 20_000_000
"""A file changed so shortly before a run began, or later, may change again without another time stamp: file systems
count in ticks of up to 10 ms."""

INSERT_FILE = (
    "INSERT INTO file (path, size, mtime_ns, ctime_ns, device, inode, digest, kind, run)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SAMPLE = "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?)"
_BATCH = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)"
_FORGET = """
CREATE TEMP TABLE gone AS
    SELECT id FROM content WHERE (digest, kind) NOT IN (SELECT digest, kind FROM file);
INSERT INTO text_index (text_index, rowid, title, body)
    SELECT 'delete', id, title, body FROM text WHERE id IN (SELECT id FROM gone);
DELETE FROM text WHERE id IN (SELECT id FROM gone);
DELETE FROM content WHERE id IN (SELECT id FROM gone);
"""
_FORGET_RUNS = (
    "DELETE FROM run WHERE id <= ?",
    "DELETE FROM sample WHERE run <= ?",
    "DELETE FROM batch WHERE run <= ?",
    "DELETE FROM event WHERE run <= ?",
)
MOST = 1 << 63
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT)
"""What SQLite says of a database that contradicts itself; nothing that is entered here violates a constraint."""


class CatalogueDamagedError(ResourceError):
    """A catalogue that was gone on with is damaged, where only using it could show that.

    Args:
        path: The catalogue.
        reason: What shows it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"The catalogue {path} is damaged: {reason}.",
            "Check the disk; remove it, or choose another place with --catalogue.",
            resource=path,
        )


def tells_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite says that the database is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


@dataclass(frozen=True, slots=True)
class Run:
    """What a catalogue says of a survey that wrote into it; `roots` and `options` are kept as JSON."""

    started_at: float
    roots: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]
    algorithm: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run counted and how long its stages took, kept as JSON."""

    counts: Mapping[str, int] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)


class Totals(NamedTuple):
    """How many names were fingerprinted, how many files they are, and the bytes of those files."""

    names: int
    files: int
    bytes: int


class Catalogue:
    """One catalogue being brought up to date. Its methods may be called from any thread, one at a time.

    Args:
        path: An empty file, which becomes the database, or a catalogue to go on with.
        run: What is about to be done.
        shown_as: What error messages call it: where it will be published.
        cache: Bytes of it that are kept in memory.

    Attributes:
        cache: Bytes of it that are kept in memory.
        run: The number of the run.
        former: The highest id of a file that was in it already; 0 where none was.
        seen: For each id up to that, 1 once the file was met again and had not changed.
        new_texts: Whether this run has changed the texts and their index, which are nearly all of a large catalogue.

    Raises:
        ResourceUnavailableError: There is no space, or it cannot be written.
    """

    def __init__(self, path: str, run: Run, *, shown_as: str = "", cache: int = CACHE) -> None:
        self.shown = shown_as or path
        self.cache = cache
        self._lock = threading.Lock()
        self._closing = False
        self._notes: deque[tuple[str, tuple[Any, ...]]] = deque()
        self.run = 0
        self.former = 0
        self.seen = bytearray(1)
        self.new_texts = False
        self._last = 0
        self._committed_at = time.monotonic()
        self._unsettled = int(run.started_at * 1e9) - UNSETTLED_NS
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._begin(run, cache)
        except BaseException:
            self.database.close()
            raise

    @property
    def goes_on(self) -> bool:
        """Whether it had files in it, which may not have to be read again."""
        return self.former > 0

    @property
    def commit_is_due(self) -> bool:
        """Whether it is long enough ago that something was committed."""
        return time.monotonic() - self._committed_at >= COMMIT_INTERVAL

    def add(self, rows: Sequence[Row], problems: Sequence[Problem]) -> None:
        """Enter some files and problems.

        Raises:
            ResourceUnavailableError: There is no space, or it cannot be written.
        """
        with self.guarded() as database:
            if rows:
                entered = [self._entered(row) for row in rows]
                try:
                    database.executemany(INSERT_FILE, entered)
                except OverflowError:
                    # SQLite counts in 64 bits with sign: inodes of some overlays and times beyond 2262 do not fit
                    database.execute("DELETE FROM file WHERE id > ?", (self._last,))
                    database.executemany(INSERT_FILE, [_fitting(row) for row in entered])
                self._last = database.execute("SELECT MAX(id) FROM file").fetchone()[0]
            if problems:
                database.executemany("INSERT INTO problem VALUES (?, ?, ?, ?)", problems)
            self.commit_when_due()

    def _entered(self, row: Row) -> tuple[Any, ...]:
        path, size, mtime_ns, ctime_ns, device, inode, digest, kind = row
        settled = ctime_ns if ctime_ns < self._unsettled else 0
        return (path, size, mtime_ns, settled, device, inode, digest, kind, self.run)

    def _begin(self, run: Run, cache: int) -> None:
        with self.guarded() as database:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=PERSIST", "synchronous=OFF"):
                database.execute(f"PRAGMA {pragma}")
            database.execute(f"PRAGMA cache_size={-(cache >> 10)}")
            # an interrupt is lost on a query that is about to start; this is not
            database.set_progress_handler(lambda: self._closing, 100_000)
            database.execute("BEGIN EXCLUSIVE")
            if database.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
                _create(database)
            _script(database, FORMER)
            database.execute("DELETE FROM problem")
            values = (run.started_at, json.dumps(run.roots), json.dumps(run.options), run.algorithm)
            database.execute("INSERT INTO run (started_at, roots, options, algorithm) VALUES (?, ?, ?, ?)", values)
            (self.run,) = database.execute("SELECT last_insert_rowid()").fetchone()
            (self.former,) = database.execute("SELECT COALESCE(MAX(id), 0) FROM file").fetchone()
            self._last = self.former
            if self.former:
                _script(database, INDEXES)
                self.seen = bytearray(self.former + 1)
            self._commit()

    def conclude(self) -> None:
        """Forget what was not met again, and index the rest; to be called once, after the last `add`."""
        with self.guarded() as database:
            forgotten = 0
            if self.former:
                forgotten = database.executemany("DELETE FROM file WHERE id = ?", self._unseen()).rowcount
            _script(database, INDEXES)
            # without a file that is gone there is no content that is
            if forgotten > 0 and database.execute("SELECT 1 FROM content LIMIT 1").fetchone():
                _script(database, _FORGET)
                self.new_texts = bool(database.execute("SELECT EXISTS (SELECT 1 FROM gone)").fetchone()[0])
            self._commit()

    def _unseen(self) -> Iterator[tuple[int]]:
        number = 0
        while (number := self.seen.find(0, number + 1)) > 0:
            yield (number,)

    def totals(self) -> Totals:
        """Return how many names were fingerprinted, how many files they are, and the bytes of those files."""
        with self.guarded() as database:
            names, files, size = database.execute(
                "SELECT SUM(names), COUNT(*), SUM(size) FROM"
                " (SELECT COUNT(*) AS names, size FROM file GROUP BY device, inode)"
            ).fetchone()
        return Totals(names or 0, files, size or 0)

    def finish(self, outcome: Outcome) -> None:
        """Enter what the run came to, check the whole database, and close it.

        Raises:
            ResourceUnavailableError: There is no space, or it cannot be written.
            ResourceError: The check found it damaged.
        """
        values = (time.time(), json.dumps(outcome.counts), json.dumps(outcome.durations), self.run)
        with self.guarded() as database:
            database.execute("UPDATE run SET finished_at = ?, counts = ?, durations = ? WHERE id = ?", values)
            self._write_notes()
            for forgetting in _FORGET_RUNS:
                database.execute(forgetting, (self.run - KEPT_RUNS,))
            database.execute("COMMIT")
            verdict = self._check(database)
            # also removes the journal, so that the file is all there is
            database.execute("PRAGMA journal_mode=DELETE")
        self.close()
        if verdict != "ok":
            raise ResourceError(
                f"The catalogue {self.shown} was damaged while it was written: {verdict}.",
                "Check the disk; what was there before is untouched.",
            )

    def _check(self, database: sqlite3.Connection) -> str:
        """Return what SQLite finds wrong with what this run wrote, "ok" for nothing; the rest was checked before."""
        for what in ("1",) if self.new_texts else BUT_TEXTS:
            (verdict,) = database.execute(f"PRAGMA quick_check({what})").fetchone()
            if verdict != "ok":
                return str(verdict)
        return "ok"

    def close(self, *, commit: bool = False) -> None:
        """Close the database, ending a query that runs in another thread; twice is harmless.

        Args:
            commit: Keep what was entered since it was last committed, as far as that can be done.
        """
        self._closing = True
        with suppress(sqlite3.ProgrammingError):  # closed already
            self.database.interrupt()
        with self._lock:
            if commit:
                with suppress(sqlite3.Error):
                    self.database.set_progress_handler(None, 0)
                    self.database.execute("COMMIT")
            self.database.close()

    def note_sample(self, stage: str, memory: int, budget: int | None, files: int, size: int) -> None:
        """Note how much memory all processes have now, and what was done until now. Costs next to nothing."""
        self._notes.append((_SAMPLE, (self.run, time.time(), stage, memory, budget, files, size)))

    def note_batch(self, workload: str, size: int, bytes_per_item: float, reason: str) -> None:
        """Note that batches of a sort of work have another size now."""
        self._notes.append((_BATCH, (self.run, time.time(), workload, size, bytes_per_item, reason)))

    def note_event(self, what: str, worker: str, detail: str, path: bytes | None = None) -> None:
        """Note what happened to a worker, with the file at fault, if one was."""
        self._notes.append((_EVENT, (self.run, time.time(), what, worker, detail, path)))

    def commit_when_due(self) -> None:
        """Commit if the last time is long enough ago; to be called while the database is guarded."""
        if self.commit_is_due:
            self._commit()

    def _commit(self) -> None:
        self._write_notes()
        self.database.execute("COMMIT")
        self.database.execute("BEGIN EXCLUSIVE")
        self._committed_at = time.monotonic()

    def _write_notes(self) -> None:
        # taken one by one: others append meanwhile
        while self._notes:
            self.database.execute(*self._notes.popleft())

    def script(self, script: str) -> None:
        """Execute statements within the transaction; to be called while the database is guarded."""
        _script(self.database, script)

    @contextmanager
    def guarded(self) -> Iterator[sqlite3.Connection]:
        """Give the database to one thread at a time, and explain its errors.

        Raises:
            CatalogueDamagedError: What was there before is damaged.
            ResourceUnavailableError: There is no space, or it cannot be written.
        """
        try:
            with self._lock:
                yield self.database
        except sqlite3.Error as error:
            if tells_damage(error):
                raise CatalogueDamagedError(self.shown, str(error)) from error
            raise ResourceUnavailableError(
                f"The catalogue {self.shown} could not be written: {error}.",
                "Make room or choose another place with --catalogue; what was there before is untouched.",
                resource=self.shown,
            ) from error


def _create(database: sqlite3.Connection) -> None:
    _script(database, TABLES)
    database.execute(f"PRAGMA application_id={APPLICATION_ID}")
    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _script(database: sqlite3.Connection, script: str) -> None:
    """Execute statements within the transaction, which `executescript` would end."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            database.execute(statement)
            statement = ""


def _fitting(row: tuple[Any, ...]) -> tuple[Any, ...]:
    path, size, mtime_ns, ctime_ns, device, inode, *others = row
    return (path, size, nearest(mtime_ns), nearest(ctime_ns), signed(device), signed(inode), *others)


def nearest(number: int) -> int:
    """Return the number of nanoseconds that SQLite can keep and is nearest to this one."""
    return max(-MOST, min(MOST - 1, number))


def signed(number: int) -> int:
    """Return a device or inode as SQLite keeps it: with a sign."""
    return number - 2 * MOST if number >= MOST else number
