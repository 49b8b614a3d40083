"""Shows a pickled call without running what its arguments bring along: loading one may be what ended the workers."""

from __future__ import annotations

import io
import pickle
import reprlib
from collections.abc import Callable
from typing import Any, Self

from plugin_executors.executor import title
from plugin_executors.worker import run_items


def shown(task: bytes, function: Callable[..., Any]) -> str:
    """Return a call with its arguments, shortened; objects show how they are made, but are not."""
    try:
        called, args, kwargs = _Reader(io.BytesIO(task)).load()
        if called is run_items:
            args = args[1][0] if len(args[1]) == 1 else ("...",)
        words = [reprlib.repr(one) for one in args]
        words += [f"{name}={reprlib.repr(one)}" for name, one in kwargs.items()]
    except Exception:  # noqa: BLE001 - a pickle may ask its objects for anything; the death matters more
        words = ["..."]
    return f"{title(function)[:-1]}{', '.join(words)})"


class _Reader(pickle.Unpickler):
    """Finds stand-ins in the place of classes and functions."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that does nothing but know its name."""
        if (module, name) == (run_items.__module__, run_items.__qualname__):
            return run_items
        return _Named("Unmade", (_Unmade,), {"shown": name})


class _Named(type):
    shown: str

    def __repr__(cls) -> str:
        return cls.shown


class _Unmade(metaclass=_Named):
    """An object as far as its pickle says what it is called with."""

    def __new__(cls, *args: object, **_kwargs: object) -> Self:
        made = super().__new__(cls)
        made.__dict__["args"] = args
        return made

    def __repr__(self) -> str:
        return f"{type(self)!r}({', '.join(map(reprlib.repr, self.__dict__['args']))})"

    def __call__(self, *_args: object) -> _Unmade:
        return self

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _item: object) -> None:
        """Take an item of a list's descendant."""

    def extend(self, _items: object) -> None:
        """Take items of a list's descendant."""
