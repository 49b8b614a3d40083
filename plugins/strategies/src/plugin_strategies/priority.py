"""`Priority`: an order of entities that somebody decided."""

from __future__ import annotations

import math
from collections.abc import Mapping

from framework import ResourceClass
from framework.errors import InvalidRequestError, did_you_mean

_SOURCES = ("label", "capability", "type")


class Priority:
    """Takes from the class with the highest priority: the number in a label, a level, or what is listed for a value.

    Args:
        by: `label` (the value of the label `name`), `capability` (the level of the capability `name`) or `type`.
        name: The label or the capability; for `type` it means nothing.
        values: The priority of each value (of each level, of each type); what is not listed is taken for a number.
        default: The priority of classes that have no such label or capability, or no number in it.

    Raises:
        InvalidRequestError: An argument is wrong.
    """

    name = "priority"

    def __init__(
        self,
        by: str = "label",
        name: object = "priority",
        values: Mapping[str, float] | None = None,
        default: float = 0.0,
    ) -> None:
        if by not in _SOURCES:
            raise InvalidRequestError(
                f"by is {by!r:.60}; allowed are {', '.join(_SOURCES)}.", did_you_mean(str(by), _SOURCES)
            )
        if not isinstance(name, str) or not name:
            raise InvalidRequestError(f"name is {name!r:.60}; a text is allowed.", f"Name a {by}.")
        self._by = by
        self._name: str = name
        self._values = _listed(values or {})
        self._default = _priority("default", default)

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the priority with its sign turned, because the lowest rank is taken first."""
        value = self._value(resource_class)
        if value in self._values:
            return -self._values[value]
        try:
            number = float(value)
        except ValueError:
            return -self._default
        return -number if math.isfinite(number) else -self._default

    def _value(self, resource_class: ResourceClass) -> str:
        if self._by == "type":
            return resource_class.type
        if self._by == "label":
            return resource_class.labels.get(self._name, "")
        return str(resource_class.capabilities.get(self._name, ""))


def _priority(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequestError(f"{what} is {value!r:.60}; a number is allowed.", "The highest is taken first.")
    return float(value)


def _listed(given: object) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise InvalidRequestError(
            f"values is {given!r:.60}; allowed are priorities by value.", "For instance {gold: 10, silver: 5}."
        )
    return {str(value): _priority(f"The priority of {value!r:.60}", one) for value, one in given.items()}
