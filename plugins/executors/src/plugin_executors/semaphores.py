"""Named semaphores of a process pool: they have the lease's token in their names, so that they are found again.

multiprocessing makes up their names and leaves them to a process of its own, which may die with the owner.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

_FOLDER = "/dev/shm"  # noqa: S108 - where Linux keeps them


@contextlib.contextmanager
def named_after(token: str) -> Iterator[None]:
    """Have the semaphores that multiprocessing makes meanwhile named after a token, where the names may be so long."""
    from multiprocessing import process

    settings = process.current_process()._config  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    former = settings["semprefix"]
    if sys.platform == "linux":
        settings["semprefix"] = f"/framework-{token}"
    try:
        yield
    finally:
        settings["semprefix"] = former


def remove(token: str) -> None:
    """Remove the semaphores that were named after a token; those that are gone are fine."""
    if not re.fullmatch("[0-9a-f]{28}", token) or not os.path.isdir(_FOLDER):
        return
    for name in os.listdir(_FOLDER):
        if name.startswith(f"sem.framework-{token}-"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(_FOLDER, name))
