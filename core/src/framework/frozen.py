"""`Frozen`, the base of records: a frozen dataclass that takes a fiftieth of the time to define, and no imports.

    class Point(Frozen):
        x: int
        y: int = 0

Type checkers take it for `dataclass(frozen=True, slots=True)`, and so does the module `dataclasses` once it is used on
one. That module compiles six methods for each class, half a millisecond; here all classes share the methods below.
`framework plugins list` defines two dozen records before it can print a line.

The fields are the annotations of the class itself; those of a base are not inherited. A default that is a dict is
copied for each record.
"""

from __future__ import annotations

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn, Self, TypeVar, dataclass_transform

    T = TypeVar("T", bound="Frozen")
else:

    def dataclass_transform(**_):  # noqa: D103 - typing's own, of which nothing is left when the program runs
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class _Fields(type):
    """Makes the annotations of a class its slots."""

    _defaults: dict[str, Any]
    _setters: tuple[Callable[[object, Any], None], ...]
    _names: frozenset[str]
    __slots__: tuple[str, ...]

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _Fields:
        fields = tuple(body.get("__annotations__", ()))
        defaults = {one: body.pop(one) for one in fields if one in body}
        made = super().__new__(cls, name, bases, body | {"__slots__": fields, "__match_args__": fields})
        made._defaults = defaults
        made._names = frozenset(fields)
        made._setters = tuple([getattr(made, one).__set__ for one in fields])
        return made

    def twin(cls) -> type:
        """Return a dataclass with the same fields, for those who ask by way of the standard library."""
        import dataclasses

        fields = vars(cls).get("__annotations__", {})  # a class without any would show those of its metaclass
        body: dict[str, Any] = {"__annotations__": fields, "__doc__": cls.__doc__}
        for name, default in cls._defaults.items():
            body[name] = dataclasses.field(default_factory=default.copy) if isinstance(default, dict) else default
        return dataclasses.dataclass(type(cls.__name__, (), body))

    @property
    def __signature__(cls) -> Any:
        import inspect

        return inspect.signature(cls.twin())


class _Fieldset:
    """What `dataclasses.fields`, `replace` and `asdict` look for on a record, worked out when they first do."""

    def __get__(self, _record: object, owner: _Fields) -> Any:
        if vars(owner).get("__dataclass_fields__") is self:  # set on the base, they would be those of every record
            raise AttributeError(f"{owner.__name__} is the base of records, and none itself")
        fields = vars(owner.twin())["__dataclass_fields__"]
        setattr(owner, "__dataclass_fields__", fields)  # noqa: B010 - which type checkers must not know of
        return fields


class Frozen(metaclass=_Fields):
    """A record: made once from its fields, compared and hashed by them, never changed."""

    if not TYPE_CHECKING:
        __dataclass_fields__ = _Fieldset()

        def __init__(self, *values, **named):
            cls = type(self)
            if named or len(values) != len(cls.__slots__):
                values = _complete(cls, values, named)
            for assign, value in zip(cls._setters, values, strict=True):
                assign(self, value)

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        msg = f"{type(self).__name__} is frozen, and {name!r} cannot be changed"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in as_dict(self).items())
        return f"{type(self).__qualname__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), _values(self)

    def __replace__(self, **changes: Any) -> Self:
        return type(self)(**{**as_dict(self), **changes})


def as_dict(record: Frozen) -> dict[str, Any]:
    """Return the fields of a record by name, in their order; records among the values stay what they are."""
    return dict(zip(type(record).__slots__, _values(record), strict=True))


def replace(record: T, **changes: Any) -> T:
    """Return a copy of a record with some of its fields changed."""
    return record.__replace__(**changes)


def _values(record: Any) -> tuple[Any, ...]:
    return tuple([getattr(record, name) for name in type(record).__slots__])


def _complete(cls: _Fields, values: tuple[Any, ...], named: Mapping[str, Any]) -> list[Any]:
    """Return the value of each field, defaults included."""
    names = cls.__slots__
    given = {**dict(zip(names, values, strict=False)), **named}
    once = len(given) == len(values) + len(named)
    for name, value in cls._defaults.items():
        if name not in given:
            given[name] = value.copy() if isinstance(value, dict) else value
    if once and given.keys() == cls._names:
        return [given[name] for name in names]
    if lacking := [name for name in names if name not in given]:
        msg = f"{cls.__name__}() lacks {', '.join(lacking)}"
    else:
        strange = [*named.keys() - cls._names, *(named.keys() & set(names[: len(values)])), *values[len(names) :]]
        msg = f"{cls.__name__}() takes {', '.join(names) or 'nothing'}, each once; it was also given {strange!r}"
    raise TypeError(msg)
