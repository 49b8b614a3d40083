"""`gather`: makes the `Overview` of a survey from what it found and from the catalogue it wrote."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Any
from urllib.parse import quote

import framework
from framework.errors import ResourceError
from plugin_survey.cataloguing.catalogue import CatalogueDamagedError, tells_damage
from plugin_survey.duplicates import Groups
from plugin_survey.reporting.listing import Listing
from plugin_survey.reporting.overview import (
    Damage,
    Fault,
    FileFact,
    Overview,
    Sample,
    Setting,
    SizeCount,
    Stage,
    Totals,
    TypeCount,
)
from plugin_survey.reporting.report import Findings

LARGEST = 100
"""Largest files in an overview."""
EXTREMES = 10
"""Oldest and newest files in an overview, each."""
NANOSECONDS = 1_000_000_000

# 0, 1 B, 1 KiB, 4 KiB, ... 4 GiB
BOUNDS = (0, 1, *(1024 << (2 * step) for step in range(12)))

_SIZES = f"""
SELECT least, COUNT(*), SUM(size) FROM (
    SELECT size, CASE {" ".join(f"WHEN size >= {bound} THEN {bound}" for bound in reversed(BOUNDS))} END AS least
    FROM file GROUP BY device, inode
) GROUP BY least ORDER BY least
"""  # noqa: S608 (numbers of our own)

# few contents are damaged: to look those up is faster than to join all of them
_TYPES = """
WITH damaged AS MATERIALIZED (SELECT digest, kind FROM content WHERE verdict = 'damaged')
SELECT kind, COUNT(*), SUM(size), SUM((digest, kind) IN damaged) FROM (
    SELECT kind, digest, size FROM file GROUP BY device, inode
) GROUP BY kind ORDER BY SUM(size) DESC, kind
"""
_VERDICTS = "SELECT verdict, COUNT(*) FROM content WHERE verdict NOT NULL GROUP BY verdict ORDER BY verdict"
_DAMAGED = """
WITH bad AS MATERIALIZED (SELECT digest, kind, problem FROM content WHERE verdict = 'damaged')
SELECT file.path, file.kind, bad.problem FROM bad
CROSS JOIN file ON file.digest = bad.digest AND file.kind = bad.kind ORDER BY file.path
"""
_FAULTS = """
WITH bad AS MATERIALIZED (SELECT digest, kind, problem FROM content WHERE verdict = 'failed')
SELECT path, IIF(folder, 'walk', 'fingerprint'), reason, detail, folder FROM problem
UNION ALL SELECT file.path, 'inspect', 'failed', bad.problem, 0 FROM bad
    CROSS JOIN file ON file.digest = bad.digest AND file.kind = bad.kind
ORDER BY 3, 1
"""
_LAST = "(SELECT MAX(id) FROM run)"
_SAMPLES = f"SELECT at, stage, memory, budget, files, bytes FROM sample WHERE run = {_LAST} ORDER BY at"  # noqa: S608
_BATCHES = f"SELECT at, size, bytes_per_item FROM batch WHERE run = {_LAST} ORDER BY at"  # noqa: S608


@contextmanager
def opened(catalogue: str) -> Iterator[sqlite3.Connection]:
    """Give a finished catalogue for reading, to one thread at a time; also once it is published under another name.

    Raises:
        CatalogueDamagedError: It is damaged, as shows now or while it is used.
        ResourceError: It cannot be read, now or while it is used.
    """
    address = f"file:{quote(os.fsencode(catalogue))}?mode=ro"
    with explained(catalogue), closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as database:
        yield database


@contextmanager
def explained(catalogue: str) -> Iterator[None]:
    """Explain the errors of SQLite while a report is made of a catalogue.

    Raises:
        CatalogueDamagedError: It is damaged.
        ResourceError: It cannot be read.
    """
    try:
        yield
    except sqlite3.Error as error:
        if tells_damage(error):
            raise CatalogueDamagedError(catalogue, str(error)) from error
        raise ResourceError(
            f"The catalogue {catalogue} could not be read for the report: {error}.",
            "Make room where temporary files go, or name another folder in SQLITE_TMPDIR, and run the survey again.",
        ) from error


def gather(
    found: Findings, database: sqlite3.Connection, settings: Mapping[str, Setting], *, kills: int = 0
) -> Overview:
    """Return the overview of a survey; what it lists stays in the catalogue until it is asked for.

    Args:
        found: What it found.
        database: The finished catalogue.
        settings: What it was told, by name of the option.
        kills: How many workers were to be killed.

    Raises:
        sqlite3.Error: The catalogue cannot be read.
    """
    counts = asdict(found.counts)
    totals = Totals(found.names, found.files, found.bytes, counts.pop("folders"))
    del counts["files"]
    durations = asdict(found.durations)
    seconds = durations.pop("total")
    died, killed = _deaths(database)
    return Overview(
        found.roots,
        found.started_at,
        seconds,
        framework.__version__,
        found.algorithm,
        found.min_size,
        totals,
        settings=settings,
        stages=[Stage(name, spent) for name, spent in durations.items()],
        skipped=counts,
        duplicates=Groups(database, found.groups),
        near_duplicates=found.near,
        recalled=found.recalled,
        peak_bytes=found.peak_memory,
        budget_bytes=found.budget,
        died_workers=died + killed,
        killed_workers=killed if kills else None,
        wanted_kills=kills or None,
        **_figures(database),
    )


def _figures(database: sqlite3.Connection) -> dict[str, Any]:
    def files(order: str, most: int) -> list[FileFact]:
        return list(islice(_files(database, order), most))

    return {
        "sizes": _sizes({least: (count, held) for least, count, held in database.execute(_SIZES)}),
        "largest": files("size DESC, path", LARGEST),
        "oldest": files("mtime_ns, path", EXTREMES),
        "newest": files("mtime_ns DESC, path", EXTREMES),
        "types": [TypeCount(*row) for row in database.execute(_TYPES)],
        "verdicts": dict(database.execute(_VERDICTS)),
        "damaged": Listing(database, _DAMAGED, (), Damage),
        "problems": Listing(database, _FAULTS, (), _fault),
        "texts": database.execute("SELECT COUNT(*) FROM text").fetchone()[0],
        "samples": list(_samples(database)),
    }


def _deaths(database: sqlite3.Connection) -> tuple[int, int]:
    """Return how many workers of the last run died by themselves, and how many were killed."""
    query = f"SELECT what, COUNT(*) FROM event WHERE run = {_LAST} GROUP BY what"  # noqa: S608 (a constant)
    found = dict(database.execute(query))
    return found.get("died", 0), found.get("killed", 0)


def _samples(database: sqlite3.Connection) -> Iterator[Sample]:
    """Yield the samples of the last run, each with what was known of batches by then."""
    rows = database.execute(_SAMPLES).fetchall()
    batches = database.execute(_BATCHES).fetchall()
    started = rows[0][0] if rows else 0.0
    former = (started, 0, 0)
    size, each = None, None
    for at, stage, memory, budget, files, read in rows:
        while batches and batches[0][0] <= at:
            _, size, each = batches.pop(0)
        passed = at - former[0]
        files_rate, bytes_rate = (
            (now - then) / passed if passed > 0 else 0.0 for now, then in ((files, former[1]), (read, former[2]))
        )
        yield Sample(at - started, stage, files_rate, bytes_rate, memory or None, budget, size, each)
        former = (at, files, read)


def _sizes(found: Mapping[int, tuple[int, int]]) -> list[SizeCount]:
    """Return the buckets from the first to the last that has files, those between them too that have none."""
    between = [bound for bound in BOUNDS if min(found) <= bound <= max(found)] if found else []
    return [SizeCount(bound, *found.get(bound, (0, 0))) for bound in between]


def _files(database: sqlite3.Connection, order: str) -> Iterator[FileFact]:
    """Yield files in an order, each under the first of its names."""
    met = set()
    # with a limit SQLite keeps only so many while it sorts; hard links among them make a list shorter, never wrong
    query = f"SELECT path, size, mtime_ns, device, inode FROM file ORDER BY {order} LIMIT {4 * LARGEST}"  # noqa: S608
    for path, size, mtime_ns, *identity in database.execute(query):
        if (*identity,) not in met:
            met.add((*identity,))
            yield FileFact(path, size, mtime_ns / NANOSECONDS)


def _fault(path: bytes, stage: str, reason: str, detail: str, folder: int) -> Fault:
    return Fault(path, stage, reason, detail, bool(folder))
