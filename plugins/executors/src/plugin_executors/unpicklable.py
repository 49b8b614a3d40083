"""Which part of a value cannot be pickled. A worker process imports this module, when something cannot."""

from __future__ import annotations

import contextlib
import copyreg
import pickle
from collections.abc import Iterator
from typing import Any

_DEEPEST = 50


def culprit(value: object, path: str) -> tuple[str, object]:
    """Return the innermost part that cannot be pickled, with its place as in `args[1]['lock'].inner`.

    Args:
        value: What may not be pickled; it is returned itself if it can be.
        path: What to call it.
    """
    if pickles(value):
        return path, value
    for _ in range(_DEEPEST):
        for place, part in _readable(_parts(value)):
            if part is not value and not pickles(part):
                path, value = path + place, part
                break
        else:
            break
    return path, value


def pickles(value: object) -> bool:
    """Return whether a value can be pickled."""
    try:
        pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - a class may raise anything when it is asked for its state
        return False
    return True


def said(error: BaseException) -> str:
    """Return an exception's class and message; that can fail where its class makes the message."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a class may raise anything when it is asked for its message
        return type(error).__name__


def _readable(parts: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """Yield parts as far as they can be looked at: a property or a representation may raise anything."""
    with contextlib.suppress(Exception):
        yield from parts


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f" (key {key!r:.40})", key
            yield f"[{key!r:.40}]", item
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((f" (item {item!r:.40})", item) for item in value)
    elif not isinstance(value, type):
        yield from _state(value)


def _state(value: Any) -> Iterator[tuple[str, object]]:
    names = list(getattr(value, "__dict__", ()))
    names += copyreg._slotnames(type(value))  # type: ignore[attr-defined]  # noqa: SLF001 - what pickle itself uses
    for name in names:
        if hasattr(value, name):
            yield f".{name}", getattr(value, name)
    for name in ("args", "__self__", "func", "keywords"):  # of exceptions, bound methods and functools.partial
        part = getattr(value, name, None)
        if part is not None and name not in names:
            yield f".{name}", part
