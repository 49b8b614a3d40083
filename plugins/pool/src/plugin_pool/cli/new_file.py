"""Writes a file as a whole or not at all, and overwrites nothing unless told to."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile

from framework.errors import InvalidRequestError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
"""What file systems say that have no hard links."""


def check(path: str, *, force: bool) -> None:
    """Refuse early what could not be written later.

    Raises:
        InvalidRequestError: The file exists and may not be overwritten, or its folder is none.
    """
    if os.path.lexists(path) and not force:
        raise _taken(path)
    if os.path.isdir(path):
        raise InvalidRequestError(f"The picture {path!r} is a folder.", "Name a file in it.")
    if os.path.exists(path) and not os.path.isfile(path):  # a device, or a pipe, which would be replaced
        raise InvalidRequestError(f"The picture {path!r} is no ordinary file.", "Name one, or a new one.")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise InvalidRequestError(f"There is no folder {folder!r} to write into.", "Make it first.")


def write(path: str, text: str, *, force: bool) -> None:
    """Write a file that others see whole or not at all.

    Raises:
        InvalidRequestError: It exists and may not be overwritten, or cannot be written.
    """
    temporary = ""
    given, path = path, os.path.realpath(path) if force else path  # what a link leads to is written, not the link
    try:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".framework-")
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.chmod(temporary, 0o666 & ~_mask())
        _put(temporary, path, force=force)
    except FileExistsError:
        raise _taken(path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"The picture {given!r} cannot be written: {reason}."
        raise InvalidRequestError(problem, "Name another file.") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _put(temporary: str, path: str, *, force: bool) -> None:
    if not force:
        try:
            os.link(temporary, path)  # which, other than a rename, fails where somebody was faster
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        if os.path.lexists(path):
            raise FileExistsError
    os.replace(temporary, path)


def _mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _taken(path: str) -> InvalidRequestError:
    return InvalidRequestError(f"The picture {path!r} is there already.", "Name another file, or use --force.")
