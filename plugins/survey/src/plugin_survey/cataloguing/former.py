"""What is at a target already: a former catalogue or report may be replaced, anything else may not."""

from __future__ import annotations

import os
import stat

from framework.errors import InvalidRequestError
from plugin_survey.cataloguing.schema import APPLICATION_ID


def head_of(path: str, length: int, what: str) -> bytes:
    """Return the first bytes of the file at a path, none where nothing is there.

    Args:
        path: The target.
        length: Most bytes returned.
        what: What is to be written there, for messages.

    Raises:
        InvalidRequestError: Something else than a file is there, or it may not be read.
    """
    try:
        # asked before it is opened: a pipe would be waited for
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InvalidRequestError(
                f"The {what} {path} cannot be replaced: what is there is not a file.", "Choose another path."
            )
        with open(path, "rb") as former:
            return former.read(length)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InvalidRequestError(
            f"The {what} {path} cannot be replaced: {os.strerror(error.errno or 0)}.", "Choose another file."
        ) from error


def is_catalogue(head: bytes) -> bool:
    """Return whether the first 100 bytes of a file are those of a catalogue."""
    return head[:16] == b"SQLite format 3\0" and head[68:72] == APPLICATION_ID.to_bytes(4, "big")


def check_replaceable(path: str) -> None:
    """Refuse to replace a file that is not a catalogue.

    Raises:
        InvalidRequestError: Something else is there.
    """
    head = head_of(path, 100, "catalogue")
    if head and not is_catalogue(head):
        raise InvalidRequestError(
            f"{path} exists and is not a catalogue of a survey, so it is not replaced.",
            "Choose another file, or remove it.",
        )
