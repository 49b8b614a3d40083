"""`ResourceBased`: the entity that is least busy, as somebody measured it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

from framework import Bag, Member, ResourceClass
from framework.errors import InvalidRequestError
from plugin_strategies.heap import Heap

WEIGHTS: Mapping[str, float] = {"cpu": 0.5, "memory": 0.5}


class ResourceBased:
    """Takes the entity whose scores are least, of all classes that fit; among equals the one with fewer holders.

    Scores are shares in use from 0 to 1, and are reported to the pool (`ResourcePool.report_load(id, cpu=0.3)`). What
    counts is their weighted mean. A score that was never reported counts as `unscored`. A grant changes no score: tell
    the pool often, or give entities a capacity that they can bear between two reports.

    Args:
        weights: How much each score matters; scores of other names are passed over.
        unscored: What a score is taken for until it is reported: 0 sends tasks there first, 1 last.

    Raises:
        InvalidRequestError: An argument is wrong.
    """

    name = "resource_based"

    def __init__(self, weights: Mapping[str, float] = WEIGHTS, unscored: float = 0.5) -> None:
        self._weights = _weights(weights)
        self._unscored = _share(unscored)
        self._scores: dict[Member, dict[str, float]] = {}

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the same for all, so that the scores decide."""
        return 0.0

    def bag(self, resource_class: ResourceClass) -> Bag:
        """Return a bag with those first whose scores are least."""
        return _Scored(self)

    def scored(self, member: Member, scores: Mapping[str, float]) -> None:
        """Remember what was measured of an entity; what was not stays as it was.

        Beyond 0 and 1 a score counts as these, and one that is not finite is passed over: a pool does without what
        raises, and nobody's scores would be heard any more because of a wrong one.
        """
        known = {
            name: min(max(float(scores[name]), 0.0), 1.0) for name in self._weights if _is_number(scores.get(name))
        }
        if known:
            self._scores[member] = self._scores.get(member, {}) | known

    def removed(self, member: Member) -> None:
        """Forget an entity."""
        self._scores.pop(member, None)

    def cost(self, member: Member) -> float:
        """Return the weighted mean of an entity's scores."""
        scores = self._scores.get(member)
        if scores is None:
            return self._unscored
        return sum([weight * scores.get(name, self._unscored) for name, weight in self._weights.items()])


class _Scored:
    """The entities of one class by their scores."""

    __slots__ = ("_heap", "_strategy")

    def __init__(self, strategy: ResourceBased) -> None:
        self._strategy = strategy
        self._heap = Heap()

    def push(self, member: Member) -> None:
        """Take in an entity that is not here."""
        self._heap.push(member, (self._strategy.cost(member), member.load))

    def pop(self) -> Member:
        """Give the entity whose scores are least."""
        return self._heap.pop()

    def discard(self, member: Member) -> None:
        """Let an entity go that is here."""
        self._heap.discard(member)

    def key(self) -> float:
        """Return the score of the next one."""
        score: float = self._heap.first()[0][0]
        return score


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _share(value: object) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise InvalidRequestError(
            f"unscored is {value!r:.60}; a number from 0 to 1 is allowed.", "0 sends tasks there first, 1 last."
        )
    return float(value)


def _weights(given: object) -> dict[str, float]:
    """Return weights that add up to 1."""
    if not isinstance(given, Mapping) or not given:
        raise InvalidRequestError(
            f"weights is {given!r:.60}; allowed are numbers by name.", "For instance {cpu: 0.7, memory: 0.3}."
        )
    for name, weight in given.items():
        if not _is_number(weight) or weight < 0:
            raise InvalidRequestError(
                f"The weight of {name!r:.60} is {weight!r:.60}; a number from 0 is allowed.",
                "0 makes a score not count.",
            )
    total = float(sum(given.values()))
    if not 0 < total < math.inf:
        raise InvalidRequestError(f"The weights add up to {total}.", "Give a score a weight above 0.")
    return {str(name): weight / total for name, weight in given.items()}
