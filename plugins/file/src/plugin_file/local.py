"""`LocalFile`: a file that was created for its holder, and goes with the lease unless it shall stay."""

from __future__ import annotations

import functools
import os
from typing import BinaryIO, cast

from framework import Resource, get_logger
from framework.errors import InvalidRequestError, LeaseStateError, ResourceError, ResourceUnavailableError
from plugin_file.creation import NewFile
from plugin_file.places import Identity, identify, same_place
from plugin_file.refusals import refusal

MODES = ("rb", "r+b", "ab", "a+b")
"""How `open` opens. Modes with `w` are not among them: they would give up the room that was reserved."""


class LocalFile(Resource):
    """A file that did not exist before. Its descriptor stays open, so that no later file can be mistaken for it.

    Args:
        created: The file, which belongs to the resource from now on.
        path: Where it is; where it will be, as long as it has no name.
        kept: True when the release leaves the file where it is.
    """

    def __init__(self, created: NewFile, path: str, *, kept: bool = False) -> None:
        self._path = path
        self._descriptor: int | None = created.descriptor
        self._named = bool(created.name)
        self._kept = kept
        self._handles: list[BinaryIO] = []

    @functools.cached_property
    def _identity(self) -> Identity:
        return identify(os.fstat(self.fd))

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
        path = self._path if self._named else f"/proc/self/fd/{self.fd}"
        _ = self.fd
        try:
            if self._named and not self._is_in_place():
                raise self._replaced()
            handle = cast("BinaryIO", open(path, mode))  # noqa: SIM115 - closed by the caller or the release
        except OSError as error:
            raise refusal(error, self.kind, "open", self._path) from error
        if identify(os.fstat(handle.fileno())) != self._identity:
            handle.close()
            raise self._replaced()
        self._handles = [known for known in self._handles if not known.closed]
        self._handles.append(handle)
        return handle

    def _close(self) -> None:
        if self._descriptor is None:
            return
        lost = self._close_handles()
        if self._named and not self._kept:
            self._remove()
        os.close(self._descriptor)
        self._descriptor = None
        if lost and self._kept:
            raise ResourceError(
                f"{self.kind} {self.name!r}: what was written last to {self._path!r} is lost: {lost}.",
                "Make room there and write it again; flush what must not be lost before the release.",
                resource=self.name,
            ) from lost

    def _close_handles(self) -> OSError | None:
        """Close what is still open, and return why buffered writes could not be written, if so."""
        if not self._handles:
            return None
        lost: OSError | None = None
        for handle in self._handles:
            try:
                handle.close()
            except OSError as error:
                lost = error
        self._handles = []
        return lost

    def _remove(self) -> None:
        try:
            with same_place(self._path) as place:
                if place is not None and place.holds(self._identity):
                    os.unlink(place.name, dir_fd=place.directory)
                elif place is not None and not place.is_empty():
                    get_logger().warning("file_was_replaced", kind=self.kind, resource=self.name, path=repr(self._path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise refusal(error, self.kind, "remove", self._path) from error

    def _is_in_place(self) -> bool:
        """Return whether its path still leads to it."""
        with same_place(self._path) as place:
            return place is not None and place.holds(self._identity)

    def _replaced(self) -> ResourceUnavailableError:
        return ResourceUnavailableError(
            f"{self.kind} {self.name!r}: what is at {self._path!r} is not the file that was created.",
            "Somebody removed or replaced it; acquire another one.",
            resource=self.name,
        )
