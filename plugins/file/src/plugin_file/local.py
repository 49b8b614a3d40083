"""`LocalFile`: a file that was created for its holder, and goes with the lease unless it shall stay."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, cast

from framework import Resource, get_logger
from framework.errors import InvalidRequestError, LeaseStateError, ResourceError, ResourceUnavailableError
from plugin_file.creation import NewFile, identify
from plugin_file.refusals import refusal

MODES = ("rb", "r+b", "ab", "a+b")
"""How `open` opens. Modes with `w` are not among them: they would give up the room that was reserved."""


class LocalFile(Resource):
    """A file that did not exist before. Its descriptor stays open, so that no later file can be mistaken for it.

    Args:
        created: The file, which belongs to the resource from now on.
        settle: Called once when the file was given back.
        kept: True when the release leaves the file where it is.
    """

    def __init__(self, created: NewFile, settle: Callable[[], object], *, kept: bool) -> None:
        self._path = created.path
        self._descriptor: int | None = created.descriptor
        self._identity = created.identity
        self._settle = settle
        self._kept = kept
        self._process = os.getpid()
        self._handles: list[BinaryIO] = []

    @property
    def path(self) -> str:
        """Where it is: absolute, without symbolic links. A name that is not UTF-8 is surrogate-escaped."""
        return self._path

    @property
    def fd(self) -> int:
        """Its descriptor, open to read and write until the release; made for `os.pread` and `os.pwrite`.

        Raises:
            LeaseStateError: It was released.
        """
        if self._descriptor is None:
            raise LeaseStateError(
                f"{self.kind} {self.name!r} was released, so it is not open.",
                "Use it before release(), inside the `async with`.",
                resource=self.name,
            )
        return self._descriptor

    def open(self, mode: str = "r+b") -> BinaryIO:
        """Return a new binary file object, which the release closes if nobody did before.

        Args:
            mode: `rb`, `r+b`, `ab` or `a+b`.

        Raises:
            InvalidRequestError: The mode is another one.
            LeaseStateError: The file was released.
            ResourceUnavailableError: It is not where it was, or cannot be opened.
        """
        if mode not in MODES:
            raise InvalidRequestError(
                f"{self.kind} {self.name!r} got the mode {mode!r}; allowed: {', '.join(MODES)}.",
                "To write from the start, use 'r+b'.",
                resource=self.name,
            )
        _ = self.fd
        if not self._is_in_place():
            raise self._replaced()
        try:
            handle = cast("BinaryIO", open(self._path, mode))  # noqa: SIM115 - closed by the caller or the release
        except OSError as error:
            raise refusal(error, self.kind, "open", self._path) from error
        if identify(os.fstat(handle.fileno())) != self._identity:
            handle.close()
            raise self._replaced()
        self._handles = [known for known in self._handles if not known.closed]
        self._handles.append(handle)
        return handle

    async def _close(self) -> None:
        if self._descriptor is None:
            return
        lost = self._close_handles()
        if not self._kept and self._process == os.getpid():  # a forked child's file is its parent's
            self._remove()
        os.close(self._descriptor)
        self._descriptor = None
        self._settle()
        if lost and self._kept:
            raise ResourceError(
                f"{self.kind} {self.name!r}: what was written last to {self._path!r} is lost: {lost}.",
                "Make room there and write it again; flush what must not be lost before the release.",
                resource=self.name,
            ) from lost

    def _close_handles(self) -> OSError | None:
        """Close what is still open, and return why buffered writes could not be written, if so."""
        lost: OSError | None = None
        if self._process != os.getpid():  # closing would write the parent's buffers a second time
            return None
        for handle in self._handles:
            try:
                handle.close()
            except OSError as error:
                lost = error
        self._handles = []
        return lost

    def _remove(self) -> None:
        try:
            if self._is_in_place():
                os.unlink(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise refusal(error, self.kind, "remove", self._path) from error

    def _is_in_place(self) -> bool:
        """Return whether its path still leads to it; a stranger's file there is logged, and left alone."""
        try:
            found = os.lstat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if identify(found) == self._identity:
            return True
        get_logger().warning("file_was_replaced", kind=self.kind, resource=self.name, path=repr(self._path))
        return False

    def _replaced(self) -> ResourceUnavailableError:
        return ResourceUnavailableError(
            f"{self.kind} {self.name!r}: what is at {self._path!r} is not the file that was created.",
            "Somebody removed or replaced it; acquire another one.",
            resource=self.name,
        )
