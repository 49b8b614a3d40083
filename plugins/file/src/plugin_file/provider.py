"""`FileProvider`: creates files, temporary files and directories."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import ClassVar

from framework import Ledger, Quota, ResourceProvider, creates
from framework.errors import InvalidRequestError
from plugin_file import directory
from plugin_file.collector import DIRECTORY, SIZED
from plugin_file.creation import create_draft, create_file, create_nameless, hidden_name
from plugin_file.directory import LocalDirectory
from plugin_file.local import LocalFile
from plugin_file.places import place
from plugin_file.replacement import ReplacementFile
from plugin_file.temp import TempFile

LOCAL, TEMP = SIZED
_LONGEST_SUFFIX = 50


class FileProvider(ResourceProvider):
    """Creates files and directories that go with their lease, unless they shall stay.

    Args:
        roots: Directories in or below which anything may be created and kept; anywhere when empty.
        max_bytes: Most bytes reserved at once; no cap when None. What files grow beyond their size is not counted.
        temp_directory: Where what is temporary goes by default, allowed even outside the roots; the system's own when
            None.
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
        self.max_bytes = max_bytes
        self.temp_directory = temp_directory

    def quotas(self) -> Iterable[Quota]:
        """Return the cap on reserved bytes, over all kinds that reserve any."""
        if self.max_bytes is not None:
            yield Quota(kinds=SIZED, bytes=self.max_bytes, setting="plugins.file.max_bytes")

    @creates(LOCAL)
    async def create_local_file(
        self,
        name: str,
        path: str | os.PathLike[str],
        size: int = 0,
        persistent: bool = False,
        replace: bool = False,
    ) -> LocalFile:
        """A new file at a path, with its size really reserved; or the new content of a path.

        Args:
            name: What it is called in the ledger.
            path: Where it shall be. Its directory must exist, and nothing may be there yet unless it is replaced.
            size: Bytes to reserve, all zero.
            persistent: True to leave the file, with what was written, when it is released.
            replace: True to have a `ReplacementFile`: what is at the path stays there until its `commit`, whatever
                happens, and is replaced then in one step.

        Raises:
            InvalidRequestError: The path cannot be that of a file, or `persistent` and `replace` are both set.
            PolicyError: It is outside the roots.
            ResourceLimitError: Its file system is smaller than `size`, or `max_bytes` does not allow it.
            ResourceUnavailableError: Something is there, or there is no directory, no permission or no room.
        """
        if replace and persistent:
            raise InvalidRequestError(
                f"{LOCAL} got both persistent=True and replace=True; what is committed stays in any case.",
                "Leave persistent out.",
            )
        with place(LOCAL, path, self.roots) as target:
            if not replace:
                created = await create_file(self, LOCAL, size, target, persistent=persistent)
                return LocalFile(created, target.path, kept=persistent)
            hidden = target.beside(hidden_name(self.token()))
            created = await create_draft(self, LOCAL, size, hidden)
            return ReplacementFile(created, hidden.path, target.path, self.roots)

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
        if "/" in suffix or len(suffix) > _LONGEST_SUFFIX:
            raise InvalidRequestError(
                f"{TEMP} got the suffix {suffix!r}; allowed: at most {_LONGEST_SUFFIX} characters without '/'."
            )
        chosen, roots = self._directory(directory)
        path = f"{chosen}/framework-{self.token()}{suffix}"
        # with all that needs no look at the directory; a relative path may soon lead elsewhere
        if not (size or roots) and suffix.isascii() and suffix.isprintable() and chosen[0] == "/":
            created = create_nameless(chosen)
            if created is not None:
                return TempFile(created, path, self.roots, resolved=False)
        with place(TEMP, path, roots) as target:
            return TempFile(await create_draft(self, TEMP, size, target), target.path, self.roots)

    @creates(DIRECTORY)
    async def create_directory(
        self, name: str, path: str | os.PathLike[str] | None = None, persistent: bool = False
    ) -> LocalDirectory:
        """A new directory for this user alone, removed with all that is in it when it is released.

        Args:
            name: What it is called in the ledger.
            path: Where it shall be; its parent must exist, and nothing may be there yet. A made-up name where what is
                temporary goes, when None.
            persistent: True to leave it, with what is in it, when it is released; needs a path.

        Raises:
            InvalidRequestError: The path cannot be that of a directory, or it is persistent without one.
            PolicyError: It is outside the roots.
            ResourceUnavailableError: Something is there, or there is no parent, no permission or no room.
        """
        if path is not None:
            with place(DIRECTORY, path, self.roots) as target:
                return directory.create_directory(self, DIRECTORY, target, persistent=persistent)
        if persistent:
            raise InvalidRequestError(
                f"{DIRECTORY} got persistent=True without a path, so nobody could find it afterwards.",
                "Give it a path, or leave persistent out.",
            )
        chosen, roots = self._directory(None)
        with place(DIRECTORY, os.path.join(chosen, f"framework-{self.token()}"), roots) as target:
            return directory.create_private(self, DIRECTORY, target)

    def _directory(self, asked: str | os.PathLike[str] | None) -> tuple[str, tuple[str, ...]]:
        """Return where what is temporary goes, and the roots that this place is held against."""
        if asked is not None:
            text: object = os.fspath(asked)  # a path-like object may stand for bytes
            if isinstance(text, str) and text:
                return text, self.roots
            raise InvalidRequestError(f"{TEMP} got the directory {text!r}; allowed: a path that is not empty.")
        if self.temp_directory is not None:
            return self.temp_directory, ()
        import tempfile  # the import takes longer than all the rest of this module

        return tempfile.gettempdir(), self.roots
