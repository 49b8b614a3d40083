"""Turns the words that somebody looks for into a query of SQLite's full-text search (FTS5).

Each becomes a quoted string of FTS5, in which nothing but the quote means anything, so that no word can be a mistake in
the query's grammar: https://www.sqlite.org/fts5.html#full_text_query_syntax.
"""

from __future__ import annotations

from collections.abc import Sequence

from framework.errors import InvalidRequestError

MOST = 64
"""Words in one query."""
LONGEST = 1000
"""Characters in one word or phrase."""


def match_for(words: Sequence[str], without: Sequence[str] = (), *, either: bool = False) -> str:
    """Return the query for contents that have all words, or one of them, and none of the others.

    Args:
        words: Words; one with spaces is a phrase, and `*` at the end stands for any ending.
        without: Words that must not be there.
        either: Whether one of the words suffices.

    Raises:
        InvalidRequestError: There are too many or too long words, or one has neither letter nor digit.
    """
    if len(words) + len(without) > MOST:
        raise InvalidRequestError(
            f"The query has {len(words) + len(without):,} words; at most {MOST} are allowed.", "Leave out common ones."
        )
    wanted = (" OR " if either else " AND ").join(map(_term, words))
    if not without:
        return wanted
    return f"({wanted}) NOT ({' OR '.join(map(_term, without))})"


def _term(word: str) -> str:
    if len(word) > LONGEST:
        raise InvalidRequestError(
            f"A word of the query has {len(word):,} characters; at most {LONGEST:,} are allowed.", "Shorten it."
        )
    if not any(map(str.isalnum, word)):
        raise InvalidRequestError(f"{word!r} has neither a letter nor a digit to look for.", "Name a word.")
    prefix = word.endswith("*")
    # bytes that are no text stand in no text
    text = word.removesuffix("*").encode(errors="replace").decode().replace('"', '""')
    return f'"{text}"*' if prefix else f'"{text}"'
