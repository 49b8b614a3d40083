"""`ReplacementFile`: the new content of a path, which is there whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from plugin_file.creation import NewFile
from plugin_file.draft import DraftFile


class ReplacementFile(DraftFile):
    """A file that takes the place of what is at its path on `commit`; without one it goes with its lease.

    Args:
        created: The file, which belongs to the resource from now on.
        draft: Its path until then, if it must have one.
        target: The path that it is for.
        roots: Directories in or below which that must be; anywhere when empty.
    """

    def __init__(self, created: NewFile, draft: str, target: str, roots: Sequence[str] = ()) -> None:
        super().__init__(created, draft, roots)
        self._target = target

    @property
    def path(self) -> str:
        """The path that it is for: absolute, without symbolic links. Until `commit` what was there before is there."""
        return self._target

    async def commit(self) -> None:
        """Put the file in the place of what is there, atomically and durably; the release then removes nothing.

        Whoever looks sees what was there before or the complete file, even if the machine loses power. It gets the
        permissions of a file that it replaces, else 0600. A symbolic link is replaced, not what it leads to.

        Raises:
            LeaseStateError: It was committed or released already.
            PolicyError: The path is outside the roots by now.
            ResourceUnavailableError: It cannot be written there, or something else than a file is there. What was there
                before stays, and the commit can be tried again.
        """
        await self._put(self._target, like_former=True)
