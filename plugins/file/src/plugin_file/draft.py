"""`DraftFile`: a file that goes with its lease, unless it is put in place when it is complete."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from framework import Recovery
from framework.errors import LeaseStateError, ResourceUnavailableError
from plugin_file.creation import NewFile, directory_of, publish
from plugin_file.local import LocalFile
from plugin_file.places import Place, place, same_place
from plugin_file.refusals import refusal


class DraftFile(LocalFile):
    """A file that has no name, or one that the journal knows by the lease's token; base of those that can be kept.

    Args:
        created: The file, which belongs to the resource from now on.
        path: Where it is, or will be when it must have a name; the last part contains the lease's token.
        roots: Directories in or below which it may be put; anywhere when empty.
        resolved: False while nobody has looked yet where the path leads; it may go through symbolic links then.
    """

    def __init__(self, created: NewFile, path: str, roots: Sequence[str] = (), *, resolved: bool = True) -> None:
        super().__init__(created, path)
        self._roots = roots
        self._resolved = resolved

    def _appear(self) -> None:
        """Give the file the name that the journal can tell it by, if it has none.

        Raises:
            ResourceUnavailableError: Its directory is not where it was, or takes no name, or nor does the journal.
        """
        if self._named:
            return
        created = NewFile(self.fd, "")
        try:
            with same_place(self._path, "" if self._resolved else directory_of(created)) as target:
                if target is None:
                    raise self._replaced()
                self._path, self._resolved = target.path, True
                self._intend(Recovery.UNLINK, self._path)
                publish(created, target)
        except OSError as error:
            raise refusal(error, self.kind, "create", self._path) from error
        self._named = True

    async def _put(self, path: str | os.PathLike[str], *, like_former: bool) -> None:
        """Put the file in its final place, atomically and durably; the release then removes nothing.

        Args:
            path: Where to.
            like_former: Give it the permissions of the file that it replaces.

        Raises:
            LeaseStateError: It was put in place or released already.
            PolicyError: The path is outside the roots.
            ResourceUnavailableError: It cannot be there. The file then stays a draft.
        """
        self._check_keepable()
        with place(self.kind, path, self._roots) as target:
            try:
                for handle in self._handles:
                    if not handle.closed:
                        handle.flush()
                await _sync(os.dup(self.fd))
                self._move(target, like_former=like_former)
            except OSError as error:
                raise refusal(error, self.kind, "be kept as", target.path) from error
            with contextlib.suppress(OSError):  # it is in place; a directory that cannot be synced promises no more
                await _sync(os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=target.directory))

    def _move(self, target: Place, *, like_former: bool) -> None:
        self._check_keepable()  # it may have been released while it was written to disk
        former = self._replaceable(target)
        self._appear()
        with same_place(self._path) as source:
            if source is None or not source.holds(self._identity):
                raise self._replaced()
            if like_former and former is not None:
                os.fchmod(self.fd, stat.S_IMODE(former) & 0o777)
            # Killed before, it is removed; killed after, it is where it shall stay, and its former name is nobody's.
            os.replace(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)
        self._path, self._kept = target.path, True
        self._disclaim()

    def _replaceable(self, target: Place) -> int | None:
        """Return the mode of the file that is in the place, if there is one, and refuse what is no file.

        A pipe, a socket or a device, such as /dev/null, is not replaced.
        """
        try:
            mode = os.stat(target.name, dir_fd=target.directory, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):  # the system refuses a directory
            raise ResourceUnavailableError(
                f"{self.kind} cannot be kept as {target.path!r}: what is there is not a file.", "Choose another path."
            )
        return mode if stat.S_ISREG(mode) else None

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

    try:
        future = asyncio.get_running_loop().run_in_executor(None, os.fsync, descriptor)
    except RuntimeError as error:  # there can be no more threads
        os.close(descriptor)
        raise OSError(errno.EAGAIN, str(error)) from error
    future.add_done_callback(finish)
    await asyncio.shield(future)
