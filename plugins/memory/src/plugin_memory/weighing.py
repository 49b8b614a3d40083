"""How many bytes an object takes."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

MOST = 10_000
"""Objects that are looked at to weigh one value. What lies beyond is assumed to weigh as much as the average."""

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def weigh(value: object) -> int:
    """Return the bytes that a value takes: exactly for what holds its bytes itself, an estimate for all else.

    `bytes`, `bytearray`, `memoryview`, `array` and whatever else has the buffer protocol, as arrays of numpy,
    count what they show, or their own size where that is more. Anything else counts what `sys.getsizeof` says, with
    what the standard containers hold and what is in `__dict__` and `__slots__`, each object once. Classes, functions
    and modules count nothing: they are there anyway. What a C extension holds is not seen; give its size.
    """
    plain = 0 if isinstance(value, _SHARED) else _plain(value)
    if plain is not None:
        return plain
    seen: set[int] = set()
    waiting = _parts(value)
    total = whole = _size(value)
    seen.add(id(value))
    while waiting and len(seen) < MOST:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        own = _plain(one)
        if own is None:
            own = _size(one)
            waiting.extend(_parts(one))
        total += own
    return total + len(waiting) * (total - whole) // len(seen)


def _plain(value: object) -> int | None:
    """Return the bytes of what refers to nothing else, or nothing."""
    if value is None or isinstance(value, (str, bytes, bytearray, int, float, complex)):
        return _size(value)
    try:
        with memoryview(value) as view:  # type: ignore[arg-type]  # whether it has one is the question
            return max(view.nbytes, _size(value))
    except (TypeError, ValueError, BufferError):
        return None


def _size(value: object) -> int:
    return sys.getsizeof(value, 64)


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    found: list[object] = [vars(value)] if hasattr(value, "__dict__") else []
    for one in type(value).__mro__:
        slots = vars(one).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found.extend(getattr(value, name) for name in names if name != "__dict__" and hasattr(value, name))
    return found
