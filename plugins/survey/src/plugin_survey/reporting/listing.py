"""`Listing`: a list of any length that stays in the catalogue, and is read from it each time that one goes through."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


class Listing(Collection[Item]):
    """The rows of a query.

    Args:
        database: The catalogue, which stays open meanwhile and does not change.
        query: The query.
        values: Its parameters.
        make: Makes an item of the columns of a row.

    Raises:
        sqlite3.Error: The catalogue cannot be read.
    """

    def __init__(
        self, database: sqlite3.Connection, query: str, values: Sequence[Any], make: Callable[..., Item]
    ) -> None:
        self._database = database
        self._query = query
        self._values = values
        self._make = make
        (self._count,) = database.execute(f"SELECT COUNT(*) FROM ({query})", values).fetchone()  # noqa: S608 - ours

    def __len__(self) -> int:
        return int(self._count)

    def __contains__(self, item: object) -> bool:
        return any(one == item for one in self)

    def __iter__(self) -> Iterator[Item]:
        for row in self._database.execute(self._query, self._values):
            yield self._make(*row)
