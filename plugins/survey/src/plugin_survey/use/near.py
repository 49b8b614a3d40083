"""Finds texts of a catalogue that are nearly equal.

Sketches lie in SQLite's own temporary file, and two texts at most in memory, so that it hardly grows with their number.
Candidates by sketch are compared by all their shingles: what is shown is exact. What may be missed is a pair that only
just is alike enough, with a probability of 1 - `sketch.CONFIDENCE`, and one of very many that agree in the same band.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from plugin_survey.use.choice import BELOW, Chosen
from plugin_survey.use.reader import damaged, explained
from plugin_survey.use.sketch import bands, likeness, rows_for, shingles, sketch

LIKENESS = 0.8
"""What two texts must have in common of what they have together, where nobody says otherwise."""
ALL_PAIRS = 16
"""Texts in a bucket up to which each is compared with each; in a larger one each only with the first."""
_TEXTS = f"""
SELECT content.id, body FROM content JOIN text USING (id) WHERE (digest, kind) IN
    (SELECT digest, kind FROM file WHERE {BELOW})
"""  # noqa: S608 - made of constants
_PAIRS = """
SELECT DISTINCT one.id, other.id FROM bucket
JOIN band AS one ON one.key = bucket.key
JOIN band AS other ON other.key = bucket.key AND other.id > one.id
WHERE bucket.members <= ? OR one.id = bucket.first
ORDER BY 1, 2
"""
_FILE = f"""
SELECT MIN(path), COUNT(*) FROM file JOIN content ON content.digest = file.digest AND content.kind = file.kind
    AND content.id = :id WHERE {BELOW}
"""  # noqa: S608 - made of constants


class Near(NamedTuple):
    """A text of a group, by the first path of its content, and how alike it is to the first of the group (0 to 1)."""

    path: bytes
    names: int
    likeness: float


class NearTexts:
    """Looks for texts that are alike.

    Args:
        chosen: The catalogue, and what of it is meant.
        least: How alike texts must be at least, above 0 and at most 1.
        tick: Called after each text and each comparison; what it raises ends the search.
    """

    def __init__(
        self, chosen: Chosen, least: float = LIKENESS, tick: Callable[[int], None] = lambda texts: None
    ) -> None:
        self._chosen = chosen
        self._least = least
        self._tick = tick
        self._parents: dict[int, int] = {}
        self._held: tuple[int, set[int]] = (0, set())

    def groups(self) -> list[list[Near]]:
        """Return groups of texts, in which each is alike at least one other; the largest first.

        Raises:
            ResourceError: The catalogue is damaged.
            ResourceUnavailableError: The disk for temporary files is full.
        """
        self._fill()
        for one, other in self._chosen.reader.rows(_PAIRS, (ALL_PAIRS,)):
            if self._root(one) != self._root(other) and self._alike(one, other) >= self._least:
                self._parents[self._root(other)] = self._root(one)
        members: dict[int, list[int]] = defaultdict(list)
        for number in self._parents:
            members[self._root(number)].append(number)
        found = [self._group([root, *(one for one in group if one != root)]) for root, group in members.items()]
        return sorted(found, key=lambda group: (-len(group), group[0].path))

    def _fill(self) -> None:
        with explained(self._chosen.reader.path):
            self._fill_bands(self._chosen.reader.database, rows_for(self._least))

    def _fill_bands(self, database: sqlite3.Connection, rows: int) -> None:
        database.execute("CREATE TEMP TABLE band (key BLOB NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (key, id))")
        database.execute("BEGIN")
        for number, body in self._chosen.reader.rows(_TEXTS, self._chosen.limits):
            if found := shingles(body):
                keys = ((_key(place, band), number) for place, band in enumerate(bands(sketch(found), rows)))
                database.executemany("INSERT INTO band VALUES (?, ?)", keys)
            self._tick(1)
        database.execute(
            "CREATE TEMP TABLE bucket AS SELECT key, MIN(id) AS first, COUNT(*) AS members FROM band"
            " GROUP BY key HAVING COUNT(*) > 1"
        )
        database.execute("COMMIT")

    def _alike(self, one: int, other: int) -> float:
        self._tick(0)
        if self._held[0] != one:  # pairs come by their first
            self._held = one, self._shingles(one)
        return likeness(self._held[1], self._shingles(other))

    def _shingles(self, number: int) -> set[int]:
        return shingles(self._chosen.reader.value("SELECT body FROM text WHERE id = ?", (number,)))

    def _root(self, number: int) -> int:
        while (parent := self._parents.get(number, number)) != number:
            self._parents[number] = self._parents.get(parent, parent)
            number = parent
        return number

    def _group(self, numbers: list[int]) -> list[Near]:
        files = sorted((*self._file(number), number) for number in numbers)
        return list(self._compared(files))

    def _compared(self, files: list[tuple[bytes, int, int]]) -> Iterator[Near]:
        first = files[0][2]
        for path, names, number in files:
            yield Near(path, names, 1.0 if number == first else self._alike(first, number))

    def _file(self, number: int) -> tuple[bytes, int]:
        path, names = next(self._chosen.reader.rows(_FILE, {**self._chosen.limits, "id": number}))
        if path is None:
            raise damaged(self._chosen.reader.path, "a text is of no file")
        return path, names


def _key(place: int, band: bytes) -> bytes:
    return blake2b(band, digest_size=8, salt=place.to_bytes(2)).digest()
