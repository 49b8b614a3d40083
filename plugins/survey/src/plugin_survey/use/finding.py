"""Looks for words in the texts of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from framework.errors import InvalidRequestError
from plugin_survey.use.choice import BELOW, Chosen

OPENED, CLOSED = "\x02", "\x03"
"""What is around each word in a snippet, until it is shown: characters that no text needs."""
TITLE_WEIGHT = 5.0
"""How many times more a word counts in a title than in the text."""
SNIPPET = 16
"""Words in a snippet."""
# the files of a content are joined first, so that the limit counts what passes the filters; equal files are one row
_FIND = f"""
WITH chosen AS MATERIALIZED (
    SELECT digest, kind, size, MIN(path) AS path, COUNT(*) AS names FROM file
    WHERE {BELOW} AND (:kind = '' OR kind = :kind) AND size BETWEEN :least AND :most GROUP BY digest, kind
)
SELECT path, chosen.kind, size, names, content.id, bm25(text_index, {TITLE_WEIGHT}, 1.0) AS score
FROM text_index JOIN content ON content.id = text_index.rowid
JOIN chosen ON chosen.digest = content.digest AND chosen.kind = content.kind
WHERE text_index MATCH :match ORDER BY score, path LIMIT :limit
"""  # noqa: S608 - made of constants
# only of those that are shown: it reads the whole text
_SHOW = f"""
SELECT title, snippet(text_index, -1, '{OPENED}', '{CLOSED}', '…', {SNIPPET})
FROM text_index WHERE text_index MATCH ? AND rowid = ?
"""  # noqa: S608 - made of constants


class Hit(NamedTuple):
    """A content that has the words, by the first of its paths; the lower the score (BM25), the better it fits."""

    path: bytes
    kind: str
    size: int
    names: int
    title: str
    score: float
    snippet: str


class Filter(NamedTuple):
    """What a file must be: its kind, empty for any, and its size in bytes."""

    kind: str = ""
    least: int = 0
    most: int = (1 << 63) - 1


def count_texts(chosen: Chosen) -> int:
    """Return how many texts there are.

    Raises:
        InvalidRequestError: There are none.
    """
    texts: int = chosen.reader.value("SELECT COUNT(*) FROM text")
    if not texts:
        raise InvalidRequestError("The survey has read no text.", "Survey again with --index.")
    return texts


def find_words(chosen: Chosen, match: str, wanted: Filter, limit: int) -> Iterator[Hit]:
    """Yield the contents that fit best, the best first.

    Raises:
        ResourceError: The catalogue is damaged.
    """
    values = {**chosen.limits, **wanted._asdict(), "match": match, "limit": limit}
    for path, kind, size, names, number, score in chosen.reader.rows(_FIND, values):
        title, snippet = next(chosen.reader.rows(_SHOW, (match, number)))
        yield Hit(path, kind, size, names, " ".join(title.split()), score, _plain(snippet))


def _plain(snippet: str) -> str:
    """Return a snippet on one line, without what a terminal would obey, its words in brackets."""
    line = " ".join(snippet.split())
    marked = line.replace(OPENED, "[").replace(CLOSED, "]")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in marked)
