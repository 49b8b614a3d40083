"""`Lent`: a resource for synchronous code; `Waiting`, whatever else there is to wait for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Self

from framework.resources import Resource

Call = Callable[..., Any]
"""Runs a coroutine function with arguments on a loop, and returns what it returns."""


class Waiting:
    """An asynchronous object for synchronous code: what is awaited there, is waited for here.

    Everything but that is the object's own. What it holds or returns that is asynchronous too is the same in its turn:
    the standard input of a child, its lines, a connection that was accepted.

    Args:
        subject: The object.
        call: Waits.
    """

    def __init__(self, subject: Any, call: Call) -> None:
        self._subject = subject
        self._call = call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._subject, name)
        if inspect.isroutine(found):
            return functools.partial(_waited, self._call, found)
        return _waiting(found, self._call)

    def __len__(self) -> int:
        return len(self._subject)

    def __bool__(self) -> bool:
        return bool(self._subject)

    def __contains__(self, item: object) -> bool:
        return item in self._subject

    def __iter__(self) -> Iterator[Any]:
        if not hasattr(type(self._subject), "__aiter__"):
            return iter(self._subject)
        return self._awaited()

    def _awaited(self) -> Iterator[Any]:
        items: AsyncIterator[Any] = type(self._subject).__aiter__(self._subject)
        while True:
            try:
                yield self._call(items.__anext__)
            except StopAsyncIteration:
                return

    def __enter__(self) -> Any:
        return _waiting(self._call(self._subject.__aenter__), self._call)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return bool(self._call(self._subject.__aexit__, kind, error, traceback))

    def __repr__(self) -> str:
        return f"<waiting {self._subject!r}>"


class Lent(Waiting):
    """A resource for synchronous code. Entered with `with`, it is released on leaving."""

    def __init__(self, resource: Resource, call: Call) -> None:
        super().__init__(resource, call)
        self.resource = resource
        """The resource itself."""

    def __enter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<lent {self.resource!r}>"


def _waited(call: Call, function: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """Return what a function returns, and wait for it where it is a coroutine function."""
    if inspect.iscoroutinefunction(function):
        return _waiting(call(functools.partial(function, *positional, **named)), call)
    return _waiting(function(*positional, **named), call)


def _waiting(found: Any, call: Call) -> Any:
    asynchronous = _is_asynchronous(type(found))  # type: ignore[arg-type]  # mypy doubts that classes are hashable
    return Waiting(found, call) if asynchronous else found


@functools.lru_cache(maxsize=256)
def _is_asynchronous(kind: type) -> bool:
    """Return whether objects of a class can be iterated over, entered or called only with `async` and `await`."""
    if issubclass(kind, type):
        return False
    names = dir(kind)
    asynchronous = "__aiter__" in names or "__aenter__" in names
    return asynchronous or any(inspect.iscoroutinefunction(getattr(kind, one, None)) for one in names)
