"""SQLite databases (file format of SQLite 3): the header against the file's size, then SQLite's own quick check.

The check may take `Bounds.seconds`: SQLite does not come back before it is through, so that a second thread has to
interrupt it; its progress handler is no help, because it is not called within the check of one table.

The database is opened read-only and as immutable, so that nothing is written or locked beside it. What another program
has not yet written back from its journal would look like damage, so a database with one is not checked.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

SIGNATURE = b"SQLite format 3\0"

_MOST_PROBLEMS = 100
_LONGEST_VALUE = 64 << 20
_STACK = 256 << 10
_AGAIN = 0.05
"""Seconds between two interrupts."""
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
    _quick_check(path, tally.bounds.seconds)


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
    known = bool(pages) and header[24:28] == header[92:96]
    # it may be longer: some programs let their database grow by large steps
    if known and pages * page > source.size:
        raise Damaged(f"it is cut off: it has {source.size:,} bytes instead of {pages:,} pages of {page:,} bytes")
    if not known and source.size % page:
        raise Damaged(f"it is cut off: its {source.size:,} bytes are not whole pages of {page:,} bytes")
    tally.members = pages if known else source.size // page


def _quick_check(path: bytes, seconds: float) -> None:
    # with an empty authority, because a path may begin with two slashes
    address = f"file://{urllib.parse.quote(path)}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection, _within(seconds, connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            found = [row[0] for row in connection.execute(f"PRAGMA quick_check({_MOST_PROBLEMS})")]
    except sqlite3.Error as error:
        raise _verdict(error) from None
    except UnicodeDecodeError as error:
        raise Damaged(f"SQLite gives text that is not UTF-8: {error.reason}") from None
    damage = [one for one in found if one != "ok" and not _BROKEN_RULE.match(one)]
    if damage:
        raise Damaged(f"SQLite says: {_printable(damage[0])}")


@contextmanager
def _within(seconds: float, connection: sqlite3.Connection) -> Iterator[None]:
    """Interrupt what a connection does in the body after so many seconds.

    Raises:
        Unchecked: It was interrupted.
    """
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            late.set()
            while not done.wait(_AGAIN):  # it goes unheard between two statements
                connection.interrupt()

    watcher = _started(threading.Thread(target=watch, daemon=True))
    try:
        yield
    except sqlite3.OperationalError:
        if not late.is_set():
            raise
    finally:
        done.set()
        watcher.join()  # a connection that is closed must not be interrupted
    if late.is_set():
        raise Unchecked(f"not checked: took longer than {seconds:g} s")


def _started(thread: threading.Thread) -> threading.Thread:
    usual = threading.stack_size(_STACK)  # the usual 8 MiB are more than a worker may have left
    try:
        thread.start()
    except RuntimeError as error:  # "can't start new thread"
        raise MemoryError from error
    finally:
        threading.stack_size(usual)
    return thread


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
