"""Copies a kept pool, also while a program changes it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import TypeVar

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool.errors import StateError
from plugin_pool.pool import ResourcePool

T = TypeVar("T")

_TRIES = 5
_KEPT = ("snapshot-", "journal-")


def copied(state: str, open_copy: Callable[[str], ResourcePool], use: Callable[[ResourcePool], T]) -> T:
    """Return what a function makes of a copy of a kept pool; nothing is left of the copy.

    Raises:
        InvalidRequestError: There is none.
        ResourceUnavailableError: It cannot be read.
        StateError: It is damaged.
    """
    refuse_if_none(state)
    with tempfile.TemporaryDirectory(prefix="framework-pool-") as folder:
        pool = _opened(state, folder, open_copy)
        try:
            return use(pool)
        finally:
            pool.close()


def refuse_if_none(state: str) -> None:
    """Refuse a directory that has no pool.

    Raises:
        InvalidRequestError: It has none, or is none itself.
    """
    try:
        names = os.listdir(state)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(
            f"The directory {state!r:.300} cannot be read: {reason}.", "Name the directory in which a pool is kept."
        ) from error
    if not any(one.startswith(_KEPT) for one in names):
        raise InvalidRequestError(f"There is no pool in {state!r:.300}.", "Name the directory in which one is kept.")


def _opened(state: str, folder: str, open_copy: Callable[[str], ResourcePool]) -> ResourcePool:
    """Open a copy; once more where a program that has the pool open has just begun or removed a file."""
    for number in range(1, _TRIES + 1):
        copy = os.path.join(folder, str(number))
        os.mkdir(copy, 0o700)
        try:
            _copy(state, copy)
            return open_copy(copy)
        except FileNotFoundError:
            continue
        except StateError as error:
            if number == _TRIES:
                problem = error.problem.replace(os.path.abspath(copy), os.path.abspath(state))
                raise StateError(problem, error.remedy, path=state, offset=error.offset) from error
        except OSError as error:
            raise ResourceUnavailableError(
                f"The pool in {state!r} cannot be read: {error.strerror or error}.",
                "See to it that you may read all of its files.",
            ) from error
    raise ResourceUnavailableError(f"The pool in {state!r} changes too fast to be copied.", "Try again.")


def _copy(state: str, target: str) -> None:
    for one in sorted([name for name in os.listdir(state) if name.startswith(_KEPT)]):
        shutil.copyfile(os.path.join(state, one), os.path.join(target, one))
