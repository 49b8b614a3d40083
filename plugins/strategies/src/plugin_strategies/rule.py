"""`Rule`: what certain tasks would like."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from framework.errors import InvalidRequestError, did_you_mean

_KEYS = ("tasks", "prefer", "near", "avoid")


class Rule(NamedTuple):
    """Which entities certain tasks would like to be given."""

    tasks: str
    """A pattern for ids of tasks as in shells: `*`, `?`, `[…]`; case matters."""
    prefer: tuple[str, ...] = ()
    """Ids of entities, the best first."""
    near: Mapping[str, str] = {}
    """Labels that their classes should have."""
    avoid: Mapping[str, frozenset[str]] = {}
    """Values of labels that their classes should not have."""

    def matcher(self) -> re.Pattern[str]:
        """Return the pattern as a regular expression."""
        return re.compile(fnmatch.translate(self.tasks))


def read(given: object) -> Rule:
    """Return a rule from a rule or a mapping.

    Raises:
        InvalidRequestError: It is none.
    """
    if isinstance(given, Rule):
        given = given._asdict()
    if not isinstance(given, Mapping) or not given.get("tasks") or not isinstance(given["tasks"], str):
        raise InvalidRequestError(
            f"The rule {given!r:.80} does not say for which tasks it is.", 'Give it a pattern: {tasks: "billing-*", …}.'
        )
    for key in given:
        if key not in _KEYS:
            raise InvalidRequestError(
                f"The rule for {given['tasks']!r:.60} has the key {key!r:.60}; allowed are {', '.join(_KEYS)}.",
                did_you_mean(str(key), _KEYS),
            )
    rule = Rule(
        given["tasks"],
        tuple(_texts(given, "prefer", given.get("prefer") or ())),
        {key: _text(given, "near", value) for key, value in _labels(given, "near")},
        {key: frozenset(_texts(given, "avoid", values)) for key, values in _labels(given, "avoid")},
    )
    if not (rule.prefer or rule.near or rule.avoid):
        raise InvalidRequestError(f"The rule for {rule.tasks!r:.60} says nothing.", "Give it prefer, near or avoid.")
    return rule


def _labels(given: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    labels = given.get(key) or {}
    if not isinstance(labels, Mapping):
        raise _wrong(given, key, labels, "labels with values")
    return [(_text(given, key, name), value) for name, value in labels.items()]


def _texts(given: Mapping[str, Any], key: str, values: object) -> list[str]:
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list | tuple | set | frozenset):
        raise _wrong(given, key, values, "a list of texts")
    return [_text(given, key, one) for one in values]


def _text(given: Mapping[str, Any], key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(given, key, value, "a text")
    return value


def _wrong(given: Mapping[str, Any], key: str, value: object, allowed: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"In the rule for {given['tasks']!r:.60}, {key} has {value!r:.60}; {allowed} is allowed.",
        "Write numbers and truth values in quotes.",
    )
