"""What is at a target already: a former catalogue or report may be replaced, anything else may not."""

from __future__ import annotations

import os
import stat

from framework.errors import InvalidRequestError


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
