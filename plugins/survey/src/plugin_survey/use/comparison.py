"""Compares two catalogues: what was added, removed, changed or moved meanwhile, and what is newly damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from plugin_survey.use.reader import Reader, address, explained

ADDED, REMOVED, CHANGED, MOVED, DAMAGED = "added", "removed", "changed", "moved", "damaged"

_ATTACH = "ATTACH ? AS later"
# in SQLite's own temporary file, so that memory does not grow with the number of files
_COPY = """
CREATE TEMP TABLE {name} (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL,
    verdict TEXT, problem TEXT
);
"""
_FILL = """
INSERT OR IGNORE INTO {name}
SELECT SUBSTR(path, ?1), file.size, file.mtime_ns, file.digest, content.verdict, content.problem
FROM {schema}.file AS file
LEFT JOIN {schema}.content AS content ON content.digest = file.digest AND content.kind = file.kind
"""
_ONLY = """
CREATE TEMP TABLE only_{one} AS
SELECT path, size, digest, IIF(size, ROW_NUMBER() OVER (PARTITION BY digest, size ORDER BY path), NULL) AS place
FROM {one} WHERE path NOT IN (SELECT path FROM {other});
"""
_FIND = """
SELECT 'moved', a.path, b.path, b.size, '' FROM only_before AS a JOIN only_after AS b USING (digest, size, place)
UNION ALL SELECT 'removed', a.path, NULL, a.size, '' FROM only_before AS a LEFT JOIN only_after AS b
    USING (digest, size, place) WHERE b.path IS NULL
UNION ALL SELECT 'added', b.path, NULL, b.size, '' FROM only_after AS b LEFT JOIN only_before AS a
    USING (digest, size, place) WHERE a.path IS NULL
UNION ALL SELECT 'changed', a.path, NULL, b.size,
    IIF(a.size = b.size AND a.mtime_ns = b.mtime_ns, 'though size and time of modification are the same', '')
    FROM before AS a JOIN after AS b USING (path)
    WHERE a.digest <> b.digest
UNION ALL SELECT 'damaged', b.path, NULL, b.size, b.problem FROM after AS b
    LEFT JOIN before AS a USING (path)
    WHERE b.verdict = 'damaged' AND (a.digest IS NULL OR a.digest <> b.digest OR a.verdict <> 'damaged')
ORDER BY 1, 2
"""


class Difference(NamedTuple):
    """One difference; `target` is where a moved file is now, and `note` tells details for people."""

    what: str
    path: bytes
    target: bytes | None
    size: int
    note: str


def differences(before: Reader, after: Reader) -> Iterator[Difference]:
    """Yield the differences, by what they are and by path.

    Where each catalogue is of one root, paths are those below the roots, so that a folder can be compared with its copy
    elsewhere; otherwise they are whole. A file is moved when one of equal size and content is gone from another path;
    empty ones, which are equal by nature, are not.

    Raises:
        ResourceError: One is damaged.
    """
    database = before.database
    relative = len(before.roots) == len(after.roots) == 1
    with explained(after.path):
        database.execute(_ATTACH, (address(after.path),))
    with explained(before.path):
        for name, schema, reader in (("before", "main", before), ("after", "later", after)):
            skipped = len(_folder(reader).rstrip(b"/")) + 1 if relative else 0
            database.execute(_COPY.format(name=name))
            database.execute(_FILL.format(name=name, schema=schema), (skipped + 1,))
        database.execute(_ONLY.format(one="before", other="after"))
        database.execute(_ONLY.format(one="after", other="before"))
    yield from map(Difference._make, before.rows(_FIND))


def _folder(reader: Reader) -> bytes:
    """Return the only root, or the folder that it is in where it is a file."""
    (root,) = reader.roots
    is_file = reader.value("SELECT EXISTS (SELECT 1 FROM file WHERE path = ?)", (root,))
    return os.path.dirname(root) if is_file else root
