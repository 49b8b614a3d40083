"""`Place`: where something shall be, held by its directory, so that nobody can move it after it was checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import NamedTuple, Self

from framework.errors import InvalidRequestError, PolicyError
from plugin_file.refusals import refusal

# O_PATH needs no right to list the directory; where it is missing (macOS), that right is needed.
_OPEN_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

Identity = tuple[int, int]
"""Device and inode: what a file or directory is, whatever its name. Unique as long as it is open."""


class Place(NamedTuple):
    """A name in a directory, open until it is left; `path` is absolute and free of symbolic links up to it."""

    directory: int
    name: str
    path: str

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.directory)

    def holds(self, identity: Identity) -> bool:
        """Return whether that very thing is there."""
        try:
            return identify(os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)) == identity
        except FileNotFoundError:
            return False

    def is_empty(self) -> bool:
        """Return whether nothing is there."""
        try:
            os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return True
        return False

    def beside(self, name: str) -> Place:
        """Return another name in the same directory."""
        return Place(self.directory, name, os.path.join(os.path.dirname(self.path), name))


def identify(found: os.stat_result) -> Identity:
    """Return what tells a file from any other."""
    return found.st_dev, found.st_ino


def place(kind: str, path: str | os.PathLike[str], roots: Sequence[str] = ()) -> Place:
    """Open the directory of a path, and refuse one that is outside the roots.

    The check is made on the directory that was really opened, so a symbolic link that changes meanwhile does no harm.

    Args:
        kind: The kind of resource, for messages.
        path: Absolute, or relative to the current directory.
        roots: Directories in or below which it must be; anywhere when empty.

    Raises:
        InvalidRequestError: The path cannot be that of a file.
        PolicyError: It is outside the roots.
        ResourceUnavailableError: Its directory does not exist or may not be entered.
    """
    parent, name = _split(kind, path)
    try:
        directory, real = _opened(parent)
    except OSError as error:
        raise refusal(error, kind, "use the directory", parent) from error
    found = Place(directory, name, os.path.join(real, name))
    if roots:
        try:
            _confine(kind, found.path, real, roots)
        except BaseException:
            os.close(directory)
            raise
    return found


def same_place(path: str, real: str = "") -> Place | nullcontext[None]:
    """Open the directory of a path that a `Place` once had; what is entered is None if the way there is another now.

    Args:
        path: An absolute path.
        real: Where its directory must really be; just there, without symbolic links, when empty.

    Raises:
        OSError: The directory may not be entered any more.
    """
    parent, name = os.path.split(path)
    try:
        directory, found = _opened(parent)
    except (FileNotFoundError, NotADirectoryError):
        return nullcontext()
    if found == (real or parent):
        return Place(directory, name, os.path.join(found, name))
    os.close(directory)
    return nullcontext()


def _split(kind: str, path: str | os.PathLike[str]) -> tuple[str, str]:
    text = os.fspath(path)
    parent, name = os.path.split(text) if _is_usable(text) else ("", "")
    if name in {"", ".", ".."}:
        raise InvalidRequestError(
            f"{kind} got the path {text!r}, which cannot be that of a file.",
            "Give a path that ends in a file name, without null characters.",
        )
    return parent or ".", name


def _is_usable(text: object) -> bool:
    if not isinstance(text, str):  # a path-like object may stand for bytes
        return False
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a half of a surrogate pair that stands for no byte
        return False


def _opened(parent: str) -> tuple[int, str]:
    """Open a directory, and return it with where it really is."""
    directory = os.open(parent, _OPEN_DIRECTORY)
    try:
        found = os.readlink(f"/proc/self/fd/{directory}")
    except OSError:  # macOS, or /proc is not mounted
        found = ""
    if found.startswith("/"):
        return directory, found
    os.close(directory)
    real = os.path.realpath(parent)
    return _walked(real), real


def _walked(real: str) -> int:
    """Open a directory step by step, following no link: one that turned up since the path was resolved is an error."""
    directory = os.open("/", _OPEN_DIRECTORY)
    for part in real.split("/"):
        if part:
            try:
                inner = os.open(part, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            finally:
                os.close(directory)
            directory = inner
    return directory


def _confine(kind: str, path: str, directory: str, roots: Sequence[str]) -> None:
    real = [os.path.realpath(root) for root in roots]
    if not any(os.path.commonpath([root, directory]) == root for root in real):
        raise PolicyError(
            f"{kind} resolves to {path!r}, which is outside the allowed {', '.join(map(repr, roots))}.",
            "Choose a path below one of them, or add to plugins.file.roots.",
        )
