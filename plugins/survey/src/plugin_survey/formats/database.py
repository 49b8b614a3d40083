"""SQLite databases (file format of SQLite 3): the header against the file's size, then SQLite's own quick check.

The database is opened read-only and as immutable, so that nothing is written or locked beside it. What another program
has not yet written back from its journal would look like damage, so a database with one is not checked.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.parse

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

SIGNATURE = b"SQLite format 3\0"

_MOST_PROBLEMS = 1
_LONGEST_VALUE = 64 << 20
_NOT_DAMAGE = ("no such", "too big", "unknown", "out of memory", "not authorized", "unable to open", "unsupported")
"""What SQLite says of a good database that needs something which is not here."""


def check_sqlite(source: Source, tally: Tally) -> None:
    """Check a SQLite database: its header, its length in pages, and every page by `PRAGMA quick_check`."""
    header = source.read(0, 100)
    if header[:16] != SIGNATURE or len(header) < 100:
        raise Damaged("it does not begin with the header of a SQLite database, or is cut off in it")
    _check_header(source, header, tally)
    path = os.fsencode(source.path)
    for ending in (b"-wal", b"-journal"):
        if os.path.exists(path + ending) and os.path.getsize(path + ending):
            raise Unchecked(
                f"it is in use or was left in use: part of it is in the file that ends in {ending.decode()}"
            )
    _quick_check(path)


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
    address = f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "cache_size=-1024"):
                connection.execute(f"PRAGMA {pragma}")
            found = connection.execute(f"PRAGMA quick_check({_MOST_PROBLEMS})").fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        problem = str(error)
        if any(word in problem for word in _NOT_DAMAGE):
            raise Unchecked(f"SQLite cannot check it here: {_printable(problem)}") from None
        raise Damaged(f"SQLite says: {_printable(problem)}") from None
    if found is not None and found[0] != "ok":
        raise Damaged(f"SQLite says: {_printable(str(found[0]))}")


def _printable(text: str) -> str:
    line = " ".join(text.split())[:200]
    return line if line.isascii() and line.isprintable() else ascii(line)[1:-1]
