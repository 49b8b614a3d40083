"""`LocalDirectory`: a directory that was created for its holder, and goes, with all that is in it, with the lease."""

from __future__ import annotations

import contextlib
import os

from framework import Recovery, Resource, ResourceProvider, get_logger
from framework.errors import LeaseStateError
from plugin_file.creation import hidden_name
from plugin_file.emptying import empty
from plugin_file.marking import mark
from plugin_file.places import Place, identify, same_place
from plugin_file.refusals import refusal
from plugin_file.renaming import rename_new

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROUNDS = 3  # somebody may still put something in while it is emptied


class LocalDirectory(Resource):
    """A directory that did not exist before. It stays open, so that no later one can be mistaken for it.

    Args:
        descriptor: The open directory, which belongs to the resource from now on.
        path: Where it is.
        kept: True when the release leaves it where it is.
    """

    def __init__(self, descriptor: int, path: str, *, kept: bool = False) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._identity = identify(os.fstat(descriptor))
        self._kept = kept

    @property
    def fd(self) -> int:
        """Its descriptor, made for the `dir_fd` of functions in `os`, which nobody can redirect then.

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

    async def _close(self) -> None:
        if self._descriptor is None:
            return
        if not self._kept:
            try:
                await self._remove(self._descriptor)
            except OSError as error:
                raise refusal(error, self.kind, "remove", self.path) from error
        os.close(self._descriptor)
        self._descriptor = None

    async def _remove(self, descriptor: int) -> None:
        with same_place(self.path) as place:
            if place is None or place.is_empty():
                return
            if not place.holds(self._identity):
                get_logger().warning("file_was_replaced", kind=self.kind, resource=self.name, path=repr(self.path))
                return
            for left in reversed(range(_ROUNDS)):
                await empty(descriptor, self.kind, self.path)
                try:
                    os.rmdir(place.name, dir_fd=place.directory)
                    return
                except FileNotFoundError:
                    return
                except OSError:
                    if not left:
                        raise


def create_private(provider: ResourceProvider, kind: str, target: Place) -> LocalDirectory:
    """Create a directory whose name contains the lease's token.

    Raises:
        ResourceUnavailableError: There is no permission or no room.
    """
    provider.intend(Recovery.RMTREE, target.path)
    try:
        return LocalDirectory(_make(target), target.path)
    except OSError as error:
        raise refusal(error, kind, "create", target.path) from error


def create_directory(provider: ResourceProvider, kind: str, target: Place, *, persistent: bool) -> LocalDirectory:
    """Create a directory at a place where nothing is yet; killed in between, the journal knows what to remove.

    Raises:
        ResourceUnavailableError: Something is there, or there is no permission or no room.
    """
    token = provider.token()
    hidden = target.beside(hidden_name(token))
    provider.intend(Recovery.RMTREE, hidden.path)
    descriptor = -1
    try:
        descriptor = _make(hidden)
        if not persistent:
            mark(provider, Recovery.RMTREE, target.path, descriptor, token)
        rename_new(target.directory, hidden.name, target.name)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the failure that led here is the one to report
            os.rmdir(hidden.name, dir_fd=target.directory)
        if descriptor >= 0:
            os.close(descriptor)
        if isinstance(error, OSError):
            raise refusal(error, kind, "create", target.path) from error
        raise
    if persistent:
        provider.disclaim()
    return LocalDirectory(descriptor, target.path, kept=persistent)


def _make(target: Place) -> int:
    os.mkdir(target.name, 0o700, dir_fd=target.directory)
    try:
        return os.open(target.name, _OPEN, dir_fd=target.directory)
    except BaseException:
        os.rmdir(target.name, dir_fd=target.directory)
        raise
