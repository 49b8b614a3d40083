"""Requirements as one writes them in a line: `executor`, `2*executor`, or `executor:web_search=5,file_ops`."""

from __future__ import annotations

import re
from typing import Any

from framework.errors import InvalidRequestError
from plugin_pool.vocabulary import LEVELS

_NEED = re.compile(r"(?:(?P<count>\d{1,9})\*)?(?P<type>[^:*=,]+)(?::(?P<capabilities>.+))?")


def needed(text: str) -> dict[str, Any]:
    """Return a requirement as a mapping that every method of a pool takes.

    Raises:
        InvalidRequestError: It is not written like one, or has a capability twice.
    """
    match = _NEED.fullmatch(text)
    if match is None:
        raise InvalidRequestError(
            f"The requirement {text!r:.80} cannot be read.",
            "Write it as executor, 2*executor, or executor:web_search=5,file_ops.",
        )
    levels = [level(one, text) for one in (match["capabilities"] or "").split(",") if match["capabilities"]]
    return {"type": match["type"], "count": int(match["count"] or 1), "capabilities": _once(levels, text)}


def described(text: str) -> dict[str, Any]:
    """Return type and capabilities of an entity, as in `executor:web_search=8`, as a mapping.

    Raises:
        InvalidRequestError: It is not written so, or a capability has no level.
    """
    kind, _, capabilities = text.partition(":")
    if sign := next((one for one in "*=," if one in kind), ""):
        raise InvalidRequestError(
            f"The type {kind!r:.60} has {sign!r} in it; a type for the command line has none of *, = and ,.",
            "Write it as executor:web_search=8. Entities that are alike are added one by one, each with an id.",
        )
    pairs = [one.partition("=") for one in capabilities.split(",")] if capabilities else []
    if strange := [name for name, _, number in pairs if not name or not number]:
        raise InvalidRequestError(
            f"The capability {strange[0]!r:.60} in {text!r:.80} has no level.",
            "Write it as web_search=8; 10 is the best.",
        )
    levels = [level(f"{name}={number}", text) for name, _, number in pairs]
    return {"type": kind, "capabilities": _once(levels, text)}


def level(text: str, within: str) -> tuple[str, int]:
    """Return a capability and its least level, as in `web_search=5`; without a level it is 1.

    Raises:
        InvalidRequestError: The level is no number, or none that there is.
    """
    capability, _, number = text.partition("=")
    if number and not (number.isdecimal() and len(number) < 10 and int(number) in LEVELS):
        raise InvalidRequestError(
            f"The level of {capability!r:.60} in {within!r:.80} is {number!r:.60}; 1 to 10 are allowed.",
            "10 is the best, 1 is anything.",
        )
    return capability, int(number or 1)


def _once(levels: list[tuple[str, int]], within: str) -> dict[str, int]:
    """Return levels by capability."""
    found = dict(levels)
    if len(found) < len(levels):
        names = [name for name, _ in levels]
        twice = next(one for one in names if names.count(one) > 1)
        raise InvalidRequestError(
            f"The capability {twice!r:.60} is in {within!r:.80} more than once.", "Write it once, with one level."
        )
    return found
