"""SQLite databases (file format of SQLite 3): the header against the file's size, then SQLite's own quick check.

The database is opened read-only and as immutable, so that nothing is written or locked beside it. What another program
has not yet written back from its journal would look like damage, so a database with one is not checked.
"""

from __future__ import annotations

import os
import re
import sqlite3
import urllib.parse

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

SIGNATURE = b"SQLite format 3\0"

_MOST_PROBLEMS = 100
_LONGEST_VALUE = 64 << 20
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRAGMAS = (
    "trusted_schema=OFF",
    "ignore_check_constraints=ON",
    "cell_size_check=ON",
    "mmap_size=0",
    "cache_size=-1024",
)
_BROKEN_RULE = re.compile(r"(?:NULL|non-\w+|NUMERIC|TEXT) value in |CHECK constraint failed")
"""What quick_check says of values that break a rule of their table, which is no damage of the file."""


def check_sqlite(source: Source, tally: Tally) -> None:
    """Check a SQLite database: its header, its length in pages, and every page by `PRAGMA quick_check`."""
    header = source.read(0, 100)
    if header[:16] != SIGNATURE or len(header) < 100:
        raise Damaged("it does not begin with the header of a SQLite database, or is cut off in it")
    _check_header(source, header, tally)
    path = os.path.abspath(os.fsencode(source.path))
    for ending in (b"-wal", b"-journal"):
        if _has_content(path + ending):
            raise Unchecked(f"it is or was in use: part of it is in the file beside it that ends in {ending.decode()}")
    _quick_check(path)


def _has_content(path: bytes) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False


def _check_header(source: Source, header: bytes, tally: Tally) -> None:
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    if page < 512 or page & (page - 1):
        raise Damaged(f"its header says pages of {page:,} bytes, which is impossible")
    pages = int.from_bytes(header[28:32], "big")
    # programs older than SQLite 3.7 left the number of pages alone, which two counters tell
    if pages and header[24:28] == header[92:96] and pages * page != source.size:
        raise Damaged(f"it has {source.size:,} bytes instead of {pages:,} pages of {page:,} bytes")
    if source.size % page:
        raise Damaged(f"it is cut off: its {source.size:,} bytes are not whole pages of {page:,} bytes")
    tally.members = source.size // page


def _quick_check(path: bytes) -> None:
    # with an empty authority, because a path may begin with two slashes
    address = f"file://{urllib.parse.quote(path)}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            found = [row[0] for row in connection.execute(f"PRAGMA quick_check({_MOST_PROBLEMS})")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _verdict(error) from None
    except UnicodeDecodeError as error:
        raise Damaged(f"SQLite gives text that is not UTF-8: {error.reason}") from None
    damage = [one for one in found if one != "ok" and not _BROKEN_RULE.match(one)]
    if damage:
        raise Damaged(f"SQLite says: {_printable(damage[0])}")


def _verdict(error: sqlite3.Error) -> Damaged | Unchecked:
    """Return what an error says: a good database may need what is not here, or be newer than this SQLite."""
    problem = f"SQLite says: {_printable(str(error))}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT and "syntax error" not in problem:
        return Damaged(problem)
    return Unchecked(problem)


def _printable(text: str) -> str:
    line = " ".join(text.split())[:200]
    return line if line.isascii() and line.isprintable() else ascii(line)[1:-1]
