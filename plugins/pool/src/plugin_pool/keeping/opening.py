"""Opens a pool that is kept in a directory."""

from __future__ import annotations

import os
from typing import Any

from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool.keeping.asking import Ask
from plugin_pool.keeping.directory import StateDirectory
from plugin_pool.keeping.durable import DurablePool
from plugin_pool.keeping.kept import KeptPool
from plugin_pool.keeping.persistence import Durability
from plugin_pool.waiting import seconds

_RECOVER = ("strict", "salvage")


def open_pool(
    path: str | os.PathLike[str],
    parameters: dict[str, Any],
    *,
    durability: Durability | str,
    ask: Ask | None,
    grace: float | None,
    ask_timeout: float,
    recover: str,
) -> KeptPool:
    """Return the pool that is kept in a directory; see `ResourcePool.open`."""
    level = Durability(_one_of(durability, list(Durability), "The durability"))
    salvage = _one_of(recover, _RECOVER, "How to recover") == "salvage"
    given, within = seconds(grace, "The grace"), seconds(ask_timeout, "The time for answers") or 0.0
    if ask is not None and not callable(ask):
        raise InvalidRequestError(f"Who is asked is {ask!r:.60}; a function or None is allowed.", "Give a function.")
    pool = (DurablePool if level is Durability.FSYNC else KeptPool)(**parameters)
    directory = StateDirectory(path)
    try:
        pool.keep(directory, level, salvage=salvage)
    except BaseException:
        directory.close()
        raise
    try:
        pool.ask_owners(ask, given, within)
    except BaseException:  # Ctrl-C, while it waits for answers
        pool.close()
        raise
    return pool


def _one_of(given: object, allowed: list[Durability] | tuple[str, ...], subject: str) -> str:
    words = [str(one) for one in allowed]
    if given not in words:
        raise InvalidRequestError(
            f"{subject} is {given!r:.60}; {', '.join(words)} are allowed.",
            did_you_mean(str(given), words) or "Use one of them.",
        )
    return str(given)
