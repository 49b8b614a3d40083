"""`TempFile`: a file that goes with its lease, unless it is kept under a name of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Sequence

from framework.errors import LeaseStateError, ResourceUnavailableError
from plugin_file.creation import NewFile
from plugin_file.local import LocalFile
from plugin_file.places import Place, place
from plugin_file.refusals import refusal


class TempFile(LocalFile):
    """A temporary file, with `keep_as` to publish it when it is complete.

    Args:
        created: The file, which belongs to the resource from now on.
        settle: Called once when the file was given back.
        roots: Directories in or below which it may be kept; anywhere when empty.
    """

    def __init__(self, created: NewFile, settle: Callable[[], object], roots: Sequence[str] = ()) -> None:
        super().__init__(created, settle, kept=False)
        self._roots = roots

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
        self._check_keepable()
        with place(self.kind, path, self._roots) as target:
            try:
                for handle in self._handles:
                    if not handle.closed:
                        handle.flush()
                await _sync(os.dup(self.fd))
                self._move(target)
            except OSError as error:
                raise refusal(error, self.kind, "be kept as", target.path) from error
            with contextlib.suppress(OSError):  # it is in place; a directory that cannot be synced promises no more
                await _sync(os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=target.directory))

    def _move(self, target: Place) -> None:
        self._check_keepable()  # it may have been released while it was written to disk
        if not self._is_in_place():
            raise self._replaced()
        self._check_replaceable(target)
        os.replace(self._path, target.name, dst_dir_fd=target.directory)
        self._path, self._kept = target.path, True

    def _check_replaceable(self, target: Place) -> None:
        """Refuse to put a file where others look for a pipe, a socket or a device, such as /dev/null."""
        try:
            mode = os.stat(target.name, dir_fd=target.directory, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):  # the system refuses a directory
            raise ResourceUnavailableError(
                f"{self.kind} cannot be kept as {target.path!r}: what is there is not a file.", "Choose another path."
            )

    def _check_keepable(self) -> None:
        _ = self.fd
        if self._kept:
            raise LeaseStateError(
                f"{self.kind} {self.name!r} was kept as {self._path!r} already.",
                "Rename that file, or acquire another one.",
                resource=self.name,
            )


async def _sync(descriptor: int) -> None:
    """Write a file to disk in a thread, then close the descriptor, even when nobody waits any more.

    Raises:
        OSError: It could not be written.
    """

    def finish(future: asyncio.Future[None]) -> None:
        os.close(descriptor)
        if not future.cancelled():
            future.exception()  # whoever was cancelled does not ask for it

    future = asyncio.get_running_loop().run_in_executor(None, os.fsync, descriptor)
    future.add_done_callback(finish)
    await asyncio.shield(future)
