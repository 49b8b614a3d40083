"""The tables of a catalogue, and what tells that a file is one.

- `run`: each survey that wrote into the catalogue, the last one last. `finished_at` is null where it was cut short.
  `roots`, `options`, `counts` and `durations` are JSON.
- `file`: each name of a regular file that was fingerprinted. `path` is bytes, as the system has it. `run` is the run
  that read the file: a later one that finds size, times, device and inode unchanged does not read it again. `kind` is
  what its content is, such as `png`; empty where nobody looked.
- `content`: each content, by digest and kind, that was looked into: `verdict` is `ok`, `damaged`, `unchecked` (there is
  nothing to check it by) or `failed` (looking into it failed, and `problem` says how), and null where integrity was not
  asked for. `members` counts what it holds. `indexed` is 1 where its text was asked for; `run` is the run that did it.
- `text`: the text of a content, by the same id, with the full-text index `text_index` beside it, which holds no copy.
  Whoever changes one changes both: by a trigger FTS5 would write what it has in memory to disk after each text, and
  take three times as long.
- `problem`: what the last run could not read. `folder` is 1 where everything below it is missing too.
- `sample`: memory of all processes of a run together, and what was done, at moments of a run. Times are in seconds
  since the epoch, sizes in bytes; `budget` is null where there was none.
- `batch`: how many items a batch got each time that this changed, by what was learnt of their size.
- `event`: what happened to the workers of a run: `died`, `killed` (by `--chaos`), with the file at fault, if one was.
"""

from __future__ import annotations

APPLICATION_ID = 0x46535659
"""Marks an SQLite file as a catalogue: `FSVY`."""
SCHEMA_VERSION = 2

TABLES = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY, started_at REAL NOT NULL, finished_at REAL,
    roots TEXT NOT NULL, options TEXT NOT NULL, algorithm TEXT NOT NULL,
    counts TEXT NOT NULL DEFAULT '{}', durations TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    digest BLOB NOT NULL, kind TEXT NOT NULL, run INTEGER NOT NULL
);
CREATE TABLE content (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL, kind TEXT NOT NULL,
    verdict TEXT, problem TEXT NOT NULL DEFAULT '', members INTEGER NOT NULL DEFAULT 0,
    indexed INTEGER NOT NULL DEFAULT 0, run INTEGER NOT NULL,
    UNIQUE (digest, kind)
);
CREATE TABLE text (
    id INTEGER PRIMARY KEY REFERENCES content (id),
    title TEXT NOT NULL, body TEXT NOT NULL, truncated INTEGER NOT NULL
);
CREATE VIRTUAL TABLE text_index USING fts5 (title, body, content='text', content_rowid='id');
CREATE TABLE problem (
    path BLOB NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, folder INTEGER NOT NULL
);
CREATE TABLE sample (
    run INTEGER NOT NULL, at REAL NOT NULL, stage TEXT NOT NULL, memory INTEGER NOT NULL, budget INTEGER,
    files INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE batch (
    run INTEGER NOT NULL, at REAL NOT NULL, workload TEXT NOT NULL,
    size INTEGER NOT NULL, bytes_per_item REAL NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE event (
    run INTEGER NOT NULL, at REAL NOT NULL, what TEXT NOT NULL, worker TEXT NOT NULL,
    detail TEXT NOT NULL, path BLOB
);
"""

BUT_TEXTS = ("run", "file", "content", "problem", "sample", "batch", "event")
"""The tables that every run writes."""

INDEXES = """
CREATE INDEX IF NOT EXISTS file_by_content ON file (size, digest);
CREATE INDEX IF NOT EXISTS file_by_identity ON file (device, inode, size);
"""
"""Made once the rows are there, which is faster than keeping them up to date."""

FORMER = """
DROP TRIGGER IF EXISTS text_added;
DROP TRIGGER IF EXISTS text_removed;
"""
"""Takes away what kept the index up to date in catalogues of earlier programs."""
