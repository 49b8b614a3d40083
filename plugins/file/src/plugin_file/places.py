"""`Place`: where a file shall be, held by its directory so that nobody can move it elsewhere after it was checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from framework.errors import InvalidRequestError, PolicyError
from plugin_file.refusals import refusal

# O_PATH needs no right to list the directory; where it is missing (macOS), that right is needed.
_OPEN_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory; `path` is absolute and free of symbolic links up to the name."""

    directory: int
    name: str
    path: str


@contextmanager
def place(kind: str, path: str | os.PathLike[str], roots: Sequence[str] = ()) -> Iterator[Place]:
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
        directory = os.open(parent, _OPEN_DIRECTORY)
    except OSError as error:
        raise refusal(error, kind, "use the directory", parent) from error
    try:
        real = _path_of(directory, parent)
        _confine(kind, os.path.join(real, name), real, roots)
        yield Place(directory, name, os.path.join(real, name))
    finally:
        os.close(directory)


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


def _path_of(directory: int, parent: str) -> str:
    try:
        found = os.readlink(f"/proc/self/fd/{directory}")
    except OSError:  # macOS, or /proc is not mounted
        found = ""
    return found if found.startswith("/") else os.path.realpath(parent)


def _confine(kind: str, path: str, directory: str, roots: Sequence[str]) -> None:
    real = [os.path.realpath(root) for root in roots]
    if roots and not any(os.path.commonpath([root, directory]) == root for root in real):
        raise PolicyError(
            f"{kind} resolves to {path!r}, which is outside the allowed {', '.join(map(repr, roots))}.",
            "Choose a path below one of them, or add to plugins.file.roots.",
        )
