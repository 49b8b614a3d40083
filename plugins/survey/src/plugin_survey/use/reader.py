"""`Reader`, a published catalogue that is only read."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from plugin_survey.cataloguing.former import head_of
from plugin_survey.cataloguing.schema import APPLICATION_ID, SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Reader:
    """A catalogue that is open for reading.

    Attributes:
        path: Where it is.
        database: It, read-only.
        roots: What was surveyed last.
        finished_at: When that ended, in seconds since the epoch.
    """

    path: str
    database: sqlite3.Connection
    roots: tuple[bytes, ...]
    finished_at: float

    @property
    def surveyed(self) -> str:
        """When the survey ended, in UTC."""
        return datetime.fromtimestamp(self.finished_at, UTC).strftime("%Y-%m-%d %H:%M")

    def rows(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query.

        Raises:
            ResourceError: The catalogue is damaged.
        """
        with explained(self.path):
            yield from self.database.execute(statement, values)

    def value(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """Return the first value of the only row of a query.

        Raises:
            ResourceError: The catalogue is damaged.
        """
        return next(self.rows(statement, values))[0]


@contextmanager
def reading(path: str) -> Iterator[Reader]:
    """Open a catalogue that a survey has published.

    Raises:
        InvalidRequestError: There is none, or one of another version, or something else.
        ResourceError: It is damaged.
    """
    _check(path)
    with explained(path):
        database = sqlite3.connect(address(path), uri=True, isolation_level=None)
    try:
        with explained(path):
            last = database.execute(
                "SELECT roots, finished_at FROM run WHERE finished_at NOT NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
        if last is None:
            raise damaged(path, "no survey in it was ever finished")
        yield Reader(path, database, tuple(map(path_from, json.loads(last[0]))), last[1])
    finally:
        database.close()


def address(path: str) -> str:
    """Return the URI under which SQLite opens a catalogue for reading only."""
    return f"file:{quote(path.encode(errors='surrogateescape'))}?mode=ro"


def path_from(entry: dict[str, str]) -> bytes:
    """Return the path that the JSON form of one stands for."""
    return base64.b64decode(entry["path_bytes"]) if "path_bytes" in entry else entry["path"].encode()


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Explain the errors of SQLite.

    Raises:
        ResourceError: There was one.
        ResourceUnavailableError: The disk for temporary files is full.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise ResourceUnavailableError(
                f"There is no room for the temporary files that reading the catalogue {path!r} takes: {error}.",
                "Make room where temporary files go, or name another folder in SQLITE_TMPDIR.",
                resource=path,
            ) from error
        raise damaged(path, str(error)) from error


def damaged(path: str, reason: str) -> ResourceError:
    """Return the error that a catalogue is damaged."""
    return ResourceError(
        f"The catalogue {path!r} cannot be read: {reason}.",
        "Survey again, which keeps a damaged catalogue aside and makes a new one.",
        resource=path,
    )


def _check(path: str) -> None:
    if os.path.isdir(path):
        raise InvalidRequestError(f"The catalogue {path!r} is a folder.", "Name the file that is in it.")
    head = head_of(path, 100, "catalogue")
    if not head:
        raise InvalidRequestError(f"There is no catalogue {path!r}.", "Survey first, or name another with --catalogue.")
    if len(head) < 100 or head[:16] != b"SQLite format 3\0" or head[68:72] != APPLICATION_ID.to_bytes(4, "big"):
        raise InvalidRequestError(f"{path!r} is not a catalogue of a survey.", "Name another with --catalogue.")
    version = int.from_bytes(head[60:64], "big")
    if version != SCHEMA_VERSION:
        raise InvalidRequestError(
            f"The catalogue {path!r} has version {version}; this program reads version {SCHEMA_VERSION}.",
            "Survey again." if version < SCHEMA_VERSION else "Use the program that wrote it.",
        )
