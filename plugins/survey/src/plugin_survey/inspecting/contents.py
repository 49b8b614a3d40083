"""`Contents`: what of a catalogue is still to be looked into, and where what was found is entered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from plugin_survey.cataloguing.catalogue import Catalogue
from plugin_survey.formats.registry import BY_KIND
from plugin_survey.inspecting.inspection import FAILED, TOO_GREEDY, Item, Look

_PREPARE = """
CREATE TEMP TABLE format (kind TEXT PRIMARY KEY, checking INTEGER NOT NULL, reading INTEGER NOT NULL);
CREATE TEMP TABLE todo (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    digest BLOB NOT NULL, kind TEXT NOT NULL, checking INTEGER NOT NULL, reading INTEGER NOT NULL
);
"""
# of equal contents one is looked into; those of one kind come together, and the smallest first
_FILL = """
INSERT INTO todo (path, size, mtime_ns, digest, kind, checking, reading)
SELECT MIN(file.path), file.size, file.mtime_ns, file.digest, file.kind,
    format.checking AND content.verdict IS NULL, format.reading AND NOT COALESCE(content.indexed, 0)
FROM file JOIN format ON format.kind = file.kind
LEFT JOIN content ON content.digest = file.digest AND content.kind = file.kind
WHERE (format.checking AND content.verdict IS NULL) OR (format.reading AND NOT COALESCE(content.indexed, 0))
GROUP BY file.digest, file.kind ORDER BY file.kind, file.size
"""
# without a budget then, or with one that is no larger now, memory would not suffice again
_RETRY = f"""
UPDATE content SET verdict = NULL, problem = '', indexed = 0
WHERE verdict = '{FAILED}' AND problem LIKE '{TOO_GREEDY}%' AND run IN (
    SELECT id FROM run WHERE json_extract(options, '$.max_memory') < COALESCE(?, 9e18)
)
"""  # noqa: S608 - both are constants
_ENTER = """
INSERT INTO content (digest, kind, verdict, problem, members, indexed, run)
SELECT digest, kind, ?2, ?3, ?4, ?5, ?6 FROM todo WHERE id = ?1
ON CONFLICT (digest, kind) DO UPDATE SET verdict = COALESCE(excluded.verdict, verdict),
    problem = CASE WHEN excluded.verdict IS NULL THEN problem ELSE excluded.problem END,
    members = MAX(excluded.members, members), indexed = MAX(excluded.indexed, indexed), run = excluded.run
"""
_ID = "SELECT content.id FROM todo JOIN content USING (digest, kind) WHERE todo.id = ?"
_READ = "INSERT INTO text (id, title, body, truncated) VALUES (?, ?, ?, ?)"
_INDEX = "INSERT INTO text_index (rowid, title, body) VALUES (?, ?, ?)"
_HOLD = "INSERT INTO text_index (text_index, rank) VALUES ('hashsize', ?)"
"""How many bytes of the index are held in memory before they are written."""


class Work(NamedTuple):
    """How many contents are to be looked into, and their bytes."""

    contents: int
    bytes: int


class Contents:
    """The contents of a catalogue whose files are all there.

    Args:
        catalogue: The catalogue.
        check: Whether integrity is asked for.
        index: Whether text is.
        budget: Bytes that all processes may take; what failed for want of memory with fewer is tried again.
    """

    def __init__(self, catalogue: Catalogue, *, check: bool, index: bool, budget: int | None = None) -> None:
        self._catalogue = catalogue
        self._check = check
        self._index = index
        self._budget = budget
        self._taken = 0
        self._most = catalogue.cache // 4
        self._held: list[Look] = []
        self._length = 0

    def prepare(self) -> Work:
        """List what is to be looked into and was not yet, by this run or an earlier one.

        Raises:
            ResourceUnavailableError: The catalogue cannot be read or written.
        """
        kinds = [
            (one.kind, self._check and one.check is not None, self._index and one.read is not None)
            for one in BY_KIND.values()
        ]
        with self._catalogue.guarded() as database:
            database.execute(_RETRY, (self._budget,))
            if self._index:
                database.execute(_HOLD, (self._most,))
            self._catalogue.script(_PREPARE)
            database.executemany("INSERT INTO format VALUES (?, ?, ?)", kinds)
            database.execute(_FILL)
            found = database.execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM todo").fetchone()
        return Work(*found)

    def next_kind(self) -> str | None:
        """Return the kind of what comes next, or None when all was taken."""
        with self._catalogue.guarded() as database:
            found = database.execute("SELECT kind FROM todo WHERE id = ?", (self._taken + 1,)).fetchone()
        return found[0] if found else None

    def take(self, kind: str, most: int) -> list[Item]:
        """Return the next files of a kind, at most so many."""
        with self._catalogue.guarded() as database:
            rows = database.execute(
                "SELECT id, path, size, mtime_ns, kind, checking, reading FROM todo"
                " WHERE id > ? AND id <= ? AND kind = ? ORDER BY id",
                (self._taken, self._taken + most, kind),
            ).fetchall()
        self._taken += len(rows)
        return [Item._make(row) for row in rows]

    def enter(self, looks: Sequence[Look]) -> None:
        """Take what was found, and enter it together with more: by the index, many texts at once cost less than each.

        Raises:
            ResourceUnavailableError: There is no space, or it cannot be written.
        """
        with self._catalogue.guarded() as database:
            self._held += looks
            self._length += sum(len(one.body or "") for one in looks)
            if self._length * 2 > self._most or self._catalogue.commit_is_due:
                self._write(database)
            self._catalogue.commit_when_due()

    def finish(self) -> None:
        """Enter what is held.

        Raises:
            ResourceUnavailableError: There is no space, or it cannot be written.
        """
        with self._catalogue.guarded() as database:
            self._write(database)

    def _write(self, database: sqlite3.Connection) -> None:
        database.executemany(_ENTER, map(self._entered, self._held))
        texts = [
            (*database.execute(_ID, (one.number,)).fetchone(), one.title, one.body or "", one.truncated)
            for one in self._held
            if one.body or one.title
        ]
        self._catalogue.new_texts |= bool(texts)
        database.executemany(_READ, texts)
        # the index last, and by nothing but values: before any other statement, FTS5 writes what it holds
        database.executemany(_INDEX, [text[:3] for text in texts])
        self._held.clear()
        self._length = 0

    def _entered(self, look: Look) -> tuple[Any, ...]:
        done = look.body is not None or (look.verdict == FAILED and self._index)
        return (look.number, look.verdict, look.problem, look.members, done, self._catalogue.run)
