"""Turns what Python knows of an object, its signature and its docstring, into Markdown."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ForwardRef, get_origin

SECTIONS = {
    "Args:": "Arguments",
    "Attributes:": "Attributes",
    "Raises:": "Raises",
    "Returns:": "Returns",
    "Yields:": "Yields",
}
_ITEM = re.compile(r"^ {4}(?P<name>\w+): (?P<text>.+)$")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells may hold anything, line breaks become blanks."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(text: str) -> str:
    """Return text as code."""
    return f"`{text}`" if text else ""


def docstring(item: object) -> str:
    """Return the docstring of an object in Markdown; its Google sections become lists."""
    return "\n".join(_lines((inspect.getdoc(item) or "").splitlines())).strip()


def items(item: object, section: str) -> dict[str, str]:
    """Return what a docstring's section, as in `Args:`, says of each name."""
    found: dict[str, str] = {}
    inside, last = False, ""
    for line in (inspect.getdoc(item) or "").splitlines():
        if not line.startswith(" ") and line:
            inside = line == section
        elif inside and (match := _ITEM.match(line)):
            last = match["name"]
            found[last] = match["text"]
        elif inside and last and line:
            found[last] += f" {line.strip()}"
    return found


def signature(name: str, item: Any) -> str:
    """Return `name(…)` as it is called, without `self`."""
    try:
        found = inspect.signature(item)
    except ValueError:
        return name
    parameters = [
        one.replace(annotation=_quiet(one.annotation), default=_plain(one.default)) for one in found.parameters.values()
    ]
    parameters = [one for one in parameters if one.name not in {"self", "cls"}]
    returned = found.return_annotation
    arrow = "" if returned in {inspect.Signature.empty, None, "None"} else f" -> {_quiet(returned)}"
    return f"{name}{found.replace(parameters=parameters, return_annotation=found.empty)}{arrow}"


def public_name(name: str, item: Any) -> str:
    """Return the section on one public name: what it is, how it is called, and its members."""
    lines = [f"## `{name}`", ""]
    if inspect.isclass(item) and issubclass(item, enum.Enum):
        return "\n".join([*lines, docstring(item), "", *(f"- `{one.name}`: `{one.value!r}`" for one in item)])
    if callable(item) and not getattr(item, "_is_protocol", False):
        lines += ["```python", signature(name, item), "```", ""]
    lines.append(docstring(item) if callable(item) else _what(item))
    if inspect.isclass(item):
        lines += ["", *_members(item)]
    return "\n".join(lines)


def _members(cls: type) -> Iterator[str]:
    fields = {one.name for one in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    for name, raw in _attributes(cls).items():
        if name.startswith("_") or name in fields:
            continue
        item = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
        if not inspect.getdoc(item):
            continue
        if isinstance(item, property):
            yield f"### `{cls.__name__}.{name}`\n\n{docstring(item)}\n"
        elif inspect.isfunction(item):
            prefix = "await " if inspect.iscoroutinefunction(item) else ""
            call = signature(f"{cls.__name__}.{name}", item)
            yield f"### `{cls.__name__}.{name}`\n\n```python\n{prefix}{call}\n```\n\n{docstring(item)}\n"


def _attributes(cls: type) -> dict[str, Any]:
    """Return what a class and its bases of the same package define; it may be put together from several modules."""
    package = cls.__module__.partition(".")[0]
    own = [one for one in cls.__mro__ if one.__module__.partition(".")[0] == package]
    return {name: raw for one in reversed(own) for name, raw in vars(one).items()}


def _what(item: object) -> str:
    if type(item).__module__.startswith("pluggy"):
        return "A marker made by pluggy, used as a decorator."
    return f"An object of type `{type(item).__name__}`."


def _lines(lines: Sequence[str]) -> Iterator[str]:
    in_section = False
    for line in lines:
        if line in SECTIONS:
            in_section = True
            yield f"**{SECTIONS[line]}**"
            yield ""
        elif in_section and (item := _ITEM.match(line)):
            yield f"- `{item['name']}`: {item['text']}"
        elif in_section and line.startswith("    "):
            yield f"  {line.strip()}"
        else:
            in_section = in_section and not line
            yield line


def _quiet(annotation: Any) -> Any:
    """Return an annotation without the modules that a reader does not need."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    named = isinstance(annotation, type) and get_origin(annotation) is None
    text = annotation if isinstance(annotation, str) else annotation.__name__ if named else str(annotation)
    return inspect.Parameter.empty if annotation is inspect.Parameter.empty else _Shown(text)


def _plain(default: Any) -> Any:
    """Return a default as somebody would write it: a member of an enumeration by its value, a function by its name."""
    if default is inspect.Parameter.empty:
        return default
    if isinstance(default, enum.Enum):
        return default.value
    if type(default) is tuple:
        return tuple(map(_plain, default))
    if repr(default) == "<factory>":  # of a dataclass or a model
        return _Shown("...")
    return _Shown(default.__name__) if callable(default) and hasattr(default, "__name__") else default


class _Shown:
    """What shows itself as plain text in a signature."""

    def __init__(self, text: str) -> None:
        self._text = re.sub(r"\b(typing|collections\.abc|framework(\.\w+)+)\.(?=[A-Z])", "", text)

    def __repr__(self) -> str:
        return self._text


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
