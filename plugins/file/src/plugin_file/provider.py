"""`FileProvider`: creates files and temporary files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from framework import Ledger, ResourceProvider, creates
from framework.errors import InvalidRequestError
from plugin_file.creation import create_file
from plugin_file.holdings import Holdings
from plugin_file.local import LocalFile
from plugin_file.temp import TempFile

LOCAL = "file.local"
TEMP = "file.temp"


class FileProvider(ResourceProvider):
    """Creates files that go with their lease, unless they shall stay.

    Args:
        roots: Directories in or below which files may be created and kept; anywhere when empty.
        max_bytes: Most bytes reserved at once; no cap when None. What files grow beyond their size is not counted.
        temp_directory: Where temporary files go by default, allowed even outside the roots; the system's own when None.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name: ClassVar[str] = "file"

    def __init__(
        self,
        roots: Sequence[str] = (),
        max_bytes: int | None = None,
        temp_directory: str | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(ledger)
        self.roots = tuple(roots)
        self.temp_directory = temp_directory
        self.holdings = Holdings((LOCAL, TEMP), max_bytes)

    @creates(LOCAL)
    async def create_local_file(
        self, name: str, path: str | os.PathLike[str], size: int = 0, persistent: bool = False
    ) -> LocalFile:
        """A new file at a path, with its size really reserved.

        Args:
            name: What it is called in the ledger.
            path: Where it shall be; nothing may be there yet, and its directory must exist.
            size: Bytes to reserve, all zero.
            persistent: True to leave the file, with what was written, when it is released.

        Raises:
            InvalidRequestError: The path cannot be that of a file.
            PolicyError: It is outside the roots.
            ResourceLimitError: Its file system is smaller than `size`, or `max_bytes` does not allow it.
            ResourceUnavailableError: Something is there, or there is no directory, no permission or no room.
        """
        with self.holdings.taking(LOCAL, size):
            created = await create_file(LOCAL, path, size, self.roots)
        return LocalFile(created, partial(self.holdings.drop, LOCAL, size), kept=persistent)

    @creates(TEMP)
    async def create_temp_file(
        self, name: str, size: int = 0, directory: str | os.PathLike[str] | None = None, suffix: str = ""
    ) -> TempFile:
        """A temporary file, removed when it is released unless it is kept.

        Args:
            name: What it is called in the ledger; the file's name is made up.
            size: Bytes to reserve, all zero.
            directory: Where it shall be; the configured directory, else the system's, when None.
            suffix: What the file's name ends with, such as `.json`.

        Raises:
            InvalidRequestError: The suffix or the directory cannot be part of a path.
            PolicyError: The directory is outside the roots.
            ResourceLimitError: Its file system is smaller than `size`, or `max_bytes` does not allow it.
            ResourceUnavailableError: There is no such directory, no permission or no room.
        """
        if "/" in suffix:
            raise InvalidRequestError(f"{TEMP} got the suffix {suffix!r}; allowed: anything without '/'.")
        chosen, roots = self._directory(directory)
        path = os.path.join(chosen, f"framework-{os.urandom(8).hex()}{suffix}")
        with self.holdings.taking(TEMP, size):
            created = await create_file(TEMP, path, size, roots)
        return TempFile(created, partial(self.holdings.drop, TEMP, size), self.roots)

    def _directory(self, asked: str | os.PathLike[str] | None) -> tuple[str, tuple[str, ...]]:
        """Return where a temporary file goes, and the roots that this place is held against."""
        if asked is not None:
            text: object = os.fspath(asked)  # a path-like object may stand for bytes
            if isinstance(text, str) and text:
                return text, self.roots
            raise InvalidRequestError(f"{TEMP} got the directory {text!r}; allowed: a path that is not empty.")
        if self.temp_directory is not None:
            return self.temp_directory, ()
        import tempfile  # the import takes longer than all the rest of this module

        return tempfile.gettempdir(), self.roots
