"""What a request for a resource may say: the parameters of a kind, read from a method's signature, and their checks."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from framework.errors import InvalidRequestError, ResourceLimitError, did_you_mean
from framework.records import Parameter

NAME_LIMIT = 200
"""Most bytes in a resource's name, as UTF-8; what every file system and /dev/shm can hold with a prefix."""


def check_name(kind: str, name: object) -> None:
    """Refuse a name that could not be a file name, or could not be shown.

    Raises:
        InvalidRequestError: It is not a printable string of 1 to 200 bytes without `/`, or it is `.` or `..`.
    """
    if isinstance(name, str) and name.isprintable() and "/" not in name and name not in {".", ".."}:
        size = len(name) if name.isascii() else len(name.encode("utf-8", "replace"))
        if 0 < size <= NAME_LIMIT:
            return
    raise InvalidRequestError(
        f"{kind} got the name {_shown(name)}; allowed: 1 to {NAME_LIMIT} bytes of printable characters without"
        " '/', and neither '.' nor '..'.",
        "Choose another name, or leave it out to have one made up.",
        resource=kind,
    )


def check_size(kind: str, size: int, *, at_most: int | None = None, of: str = "this machine") -> None:
    """Refuse a size in bytes that is negative or larger than there is.

    Raises:
        InvalidRequestError: It is negative.
        ResourceLimitError: It is larger than `at_most`, which is what `of` has.
    """
    if size < 0:
        raise InvalidRequestError(
            f"{kind} got size {size}; the least allowed is 0 bytes.", "Ask for 0 or more.", resource=kind
        )
    if at_most is not None and size > at_most:
        raise ResourceLimitError(
            f"{kind} got size {size}, but {of} has {at_most} bytes.", "Ask for less, or make room.", resource=kind
        )


def check_ttl(kind: str, ttl: object) -> None:
    """Refuse a time to live that is not a number of seconds above 0.

    Raises:
        InvalidRequestError: It is something else.
    """
    if isinstance(ttl, int | float) and not isinstance(ttl, bool) and 0 < ttl < float("inf"):
        return
    raise InvalidRequestError(
        f"{kind} got the ttl {_shown(ttl)}; allowed: a number of seconds above 0, or None.", resource=kind
    )


class Signature:
    """The parameters of one kind. Built once; checking a request is then a few set operations."""

    def __init__(self, kind: str, method: Callable[..., Any]) -> None:
        self.kind = kind
        self.summary = (inspect.getdoc(method) or "").partition("\n")[0]
        found = list(inspect.signature(method).parameters.values())[1:]  # without self
        self._method = method
        self._names = tuple(parameter.name for parameter in found)
        self._known = frozenset(self._names)
        # a name can be made up, so it is never missing
        self._required = frozenset(p.name for p in found if p.default is p.empty and p.name != "name")
        self.parameters = tuple(
            Parameter(
                p.name, str(p.annotation), p.name in self._required, "" if p.default is p.empty else repr(p.default)
            )
            for p in found
        )

    def __contains__(self, name: str) -> bool:
        return name in self._known

    @functools.cached_property
    def _rules(self) -> dict[str, tuple[tuple[type, ...], Callable[[Any], None] | None]]:
        """By parameter: the classes that are allowed, none where anything goes, and what else is asked of a value."""
        shape = types.SimpleNamespace(__annotations__=dict(self._method.__annotations__))
        shape.__annotations__.pop("return", None)  # may name what only the type checker imports
        hints = typing.get_type_hints(shape, globalns=getattr(self._method, "__globals__", {}))
        return {name: (_runtime_types(hints.get(name, Any)), self._test(name, hints.get(name))) for name in self._names}

    def _test(self, name: str, hint: object) -> Callable[[Any], None] | None:
        """Return what checks a value whose class is right; None where there is nothing to check."""
        if choices := _choices(hint):
            return functools.partial(self._check_choice, name, choices)
        if name == "size":
            return self._check_size
        return functools.partial(check_name, self.kind) if name == "name" else None

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name; those that were given by position are added to the others.

        Raises:
            InvalidRequestError: One is unknown, missing, given twice, or of the wrong type.
        """
        given = kwargs
        if args:
            named = len(kwargs)
            given.update(zip(self._names, args, strict=False))
            if len(given) != len(args) + named:
                raise InvalidRequestError(
                    f"{self.kind} got too many arguments; allowed: {', '.join(self._names)}, each once.",
                    resource=self.kind,
                )
        rules = self._rules
        for name, value in given.items():
            if name not in rules:
                raise self._unknown(given)
            accepted, test = rules[name]
            if accepted and type(value) not in accepted:
                self._check_class(name, value, accepted)
            if test is not None and value is not None:  # a None of the right class was allowed
                test(value)
        for name in self._required:
            if name not in given:
                raise self._missing(given)
        return given

    def _check_class(self, name: str, value: object, accepted: tuple[type, ...]) -> None:
        # bool is an int to isinstance, but size=True is a mistake
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise InvalidRequestError(
                f"{self.kind} got {name}={_shown(value)}, a {type(value).__name__}; allowed: {_spelled(accepted)}.",
                resource=self.kind,
            )

    def _check_choice(self, name: str, choices: tuple[object, ...], value: object) -> None:
        if value not in choices:
            raise InvalidRequestError(
                f"{self.kind} got {name}={_shown(value)}; allowed: {', '.join(map(repr, choices))}.", resource=self.kind
            )

    def _check_size(self, size: object) -> None:
        if isinstance(size, int) and size < 0:
            check_size(self.kind, size)

    def _missing(self, given: Mapping[str, Any]) -> InvalidRequestError:
        missing = ", ".join(sorted(self._required - given.keys()))
        return InvalidRequestError(
            f"{self.kind} needs {missing}, which was not given.", f"Pass {missing}=….", resource=self.kind
        )

    def _unknown(self, given: Mapping[str, Any]) -> InvalidRequestError:
        name = min(given.keys() - self._known)
        return InvalidRequestError(
            f"{self.kind} got the unknown parameter {name!r}; allowed: {', '.join(self._names)}.",
            did_you_mean(name, self._known),
            resource=self.kind,
        )


def _runtime_types(hint: Any) -> tuple[type, ...]:
    """Return the classes that `isinstance` can test an annotation by; none where anything goes."""
    if hint is Any:
        return ()
    origin = typing.get_origin(hint)
    if origin in {types.UnionType, typing.Union}:
        parts = [_runtime_types(part) for part in typing.get_args(hint)]
        return tuple(one for part in parts for one in part) if all(parts) else ()
    if origin is typing.Literal:
        return tuple({type(value) for value in typing.get_args(hint)})
    known = origin or hint
    if known is float:
        return (float, int)
    if known is collections.abc.Callable:
        return (collections.abc.Callable,)
    return (known,) if isinstance(known, type) else ()


def _choices(hint: Any) -> tuple[object, ...]:
    """Return the values that an annotation spells out, or none."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        parts = [(part, _choices(part)) for part in typing.get_args(hint)]
        values = tuple(value for _, chosen in parts for value in chosen)
        if values and all(chosen or part is types.NoneType for part, chosen in parts):
            return (*values, None)
    return ()


def _spelled(accepted: tuple[type, ...]) -> str:
    return " or ".join("None" if one is types.NoneType else one.__name__ for one in accepted)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
