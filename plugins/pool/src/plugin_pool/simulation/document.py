"""Reads a file in YAML or JSON that people wrote, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

from framework.errors import InvalidRequestError

MOST_BYTES = 1 << 20
MOST_LEVELS = 50
MOST_VALUES = 100_000
"""Values of one file; aliases in YAML can multiply a few lines to any number."""

MOST_BITS = 1000
"""Of a whole number; larger ones are no floating-point numbers, and some cannot even be shown."""


def read(path: str) -> Any:
    """Return what a file says; JSON where its name ends so, else YAML.

    Raises:
        InvalidRequestError: It cannot be read, is too large, or is neither.
    """
    subject = f"The workload {path!r}"
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(
            f"{subject} cannot be read: {reason}.", "`--example` prints one to begin with."
        ) from error
    if len(raw) > MOST_BYTES:
        raise InvalidRequestError(f"{subject} is larger than {MOST_BYTES:,} bytes.", "Write `count:` for many alike.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{subject} is not UTF-8 at byte {error.start}.", "Save it as UTF-8.") from error
    content = _json(text, subject) if path.endswith(".json") else parse(text, subject)
    _refuse_endless(content, subject)
    return content


def parse(text: str, subject: str) -> Any:
    """Return what a text in YAML says.

    Raises:
        InvalidRequestError: It is none, or is nested too deeply.
    """
    import yaml  # which only those need who simulate

    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_LEVELS:
                raise _too_deep(subject)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidRequestError(f"{subject} is not YAML: {error.problem}{where}.", "Correct the file.") from error
    except InvalidRequestError:
        raise
    except Exception as error:  # PyYAML's constructors raise ValueError, KeyError and more for odd values
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidRequestError(f"{subject} is not YAML: {reason}.", "Correct the file.") from error


def _json(text: str, subject: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep(subject) from None
    except ValueError as error:
        raise InvalidRequestError(f"{subject} is not JSON: {error}.", "Correct the file.") from error


def _refuse_endless(content: Any, subject: str) -> None:
    todo: list[tuple[Any, int]]
    todo, count = [(content, 0)], 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if depth > MOST_LEVELS:  # also where it contains itself
            raise _too_deep(subject)
        if count > MOST_VALUES:
            raise InvalidRequestError(
                f"{subject} has more than {MOST_VALUES:,} values.", "Write `count:` for many entities that are alike."
            )
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise InvalidRequestError(f"{subject} has a number of {value.bit_length():,} bits.", "Write a smaller one.")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        todo += [(one, depth + 1) for one in inner]


def _too_deep(subject: str) -> InvalidRequestError:
    return InvalidRequestError(f"{subject} is nested deeper than {MOST_LEVELS} levels.", "Write it out flat.")
