"""`TempFile`: a file that goes with its lease, unless it is kept under a name of its own."""

from __future__ import annotations

import os

from plugin_file.draft import DraftFile


class TempFile(DraftFile):
    """A temporary file, with `keep_as` to publish it when it is complete.

    It gets a name when `path` is asked for the first time; until then the operating system takes it back by itself.
    """

    @property
    def path(self) -> str:
        """Where it is: absolute, without symbolic links. A name that is not UTF-8 is surrogate-escaped.

        Raises:
            LeaseStateError: It was released before it had a name.
            ResourceUnavailableError: Its directory, or the journal, takes no name now.
        """
        self._appear()
        return self._path

    async def keep_as(self, path: str | os.PathLike[str]) -> None:
        """Put the file in its final place, atomically and durably; the release then removes nothing.

        Whoever looks sees what was there before or the complete file, even if the machine loses power. A file that is
        there is replaced, a pipe, socket or device is not. Close what else has the file open first, such as a database:
        POSIX locks on it are dropped.

        Args:
            path: Where to, on the same file system. Its permissions stay those of a temporary file, 0600.

        Raises:
            InvalidRequestError: The path cannot be that of a file.
            LeaseStateError: It was kept or released already.
            PolicyError: The path is outside the roots.
            ResourceUnavailableError: The path is on another file system or cannot be written, something else than a
                file is there, or the temporary file is not where it was. The file then stays temporary.
        """
        await self._put(path, like_former=False)
