"""`Sink`: a file for a writer that does not bear failures of the disk, as an archive that is half written does not."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Self


class Sink:
    """A file being written. The first failure is kept, what comes after it is dropped, and leaving the block raises it.

    Args:
        path: The file, which is replaced.

    Raises:
        OSError: It cannot be opened; on leaving, what went wrong while it was written.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 (it is closed on leaving)
        self._failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write bytes, unless writing failed before."""
        if self._failure is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failure = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        if self._failure is None:
            try:
                return self._file.seek(offset, whence)
            except OSError as error:
                self._failure = error
        return 0

    def tell(self) -> int:
        """Return the position; after a failure it means nothing."""
        return 0 if self._failure else self._file.tell()

    def flush(self) -> None:
        """Do nothing: leaving flushes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            self._failure = self._failure or failure
            with suppress(OSError):  # what could not be written is given up
                self._file.raw.close()
        if self._failure is not None and error is None:
            raise self._failure
