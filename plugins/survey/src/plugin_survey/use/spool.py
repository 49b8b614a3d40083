"""`Spool`: entries that wait until they are printed, on the disk where they are many."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from framework.errors import ResourceUnavailableError

HELD = 1 << 20
"""Bytes up to which they are kept in memory."""


class Spool:
    """Entries made of what JSON knows; first all are put into it, then they are gone through. It must be closed."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(HELD)  # noqa: SIM115 (it has no name, and goes with this)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Forget the entries."""
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()

    def extend(self, entries: Iterable[dict[str, Any]]) -> None:
        """Put entries into it one by one, also up to an exception in what yields them.

        Raises:
            ResourceUnavailableError: The disk for temporary files is full.
        """
        for entry in entries:
            self.append(entry)

    def append(self, entry: dict[str, Any]) -> None:
        """Put an entry into it.

        Raises:
            ResourceUnavailableError: The disk for temporary files is full.
        """
        with _explained():
            self._file.write(json.dumps(entry).encode() + b"\n")
        self._count += 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with _explained():
            self._file.seek(0)
        return (cast(dict[str, Any], json.loads(line)) for line in self._file)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceUnavailableError(
            f"There is no room for the temporary file of what is to be printed: {os.strerror(error.errno or 0)}.",
            "Make room where temporary files go, or name another folder in TMPDIR.",
        ) from error
