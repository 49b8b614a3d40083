"""`Index`: finds the groups that fit what is required, by AND-ing one bit mask for each condition.

Each group has a bit. There is a mask for each type, for each capability at each level or better, and for each label;
what is required is the AND of a few of them, worked out once and remembered as a `Signature`. A new group needs a bit
in the masks that it belongs to; signatures look at new groups only, when they are next asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from framework import AllocationStrategy, ResourceClass
from framework.errors import InvalidRequestError, nearest
from plugin_pool.group import Group
from plugin_pool.records import ResourceInstance, ResourceRequirement
from plugin_pool.vocabulary import INFERRED, LEVELS, TYPICAL

_MOST_SIGNATURES = 4096
"""Signatures that are remembered; then all are forgotten, and worked out again when they are needed."""

_KNOWN = frozenset([*INFERRED, *(one for names in TYPICAL.values() for one in names)])

Mask = int
Condition = tuple[str, Mask]


class Signature:
    """The groups that fit one line of a request, those that the strategy prefers first."""

    __slots__ = ("capabilities", "groups", "labels", "mask", "seen", "type")

    def __init__(self, requirement: ResourceRequirement) -> None:
        self.type = requirement.type
        self.capabilities = tuple([(one.type, one.min_level) for one in requirement.capabilities])
        self.labels = tuple(requirement.labels.items())
        self.mask: Mask = 0
        self.groups: tuple[Group, ...] = ()
        self.seen = 0

    @property
    def key(self) -> tuple[object, ...]:
        """What two signatures have in common that are the same."""
        return self.type, self.capabilities, self.labels


class Index:
    """All groups, and the masks by which they are found.

    Args:
        strategy: Returns the strategy that ranks groups; called once, when something is required for the first time.
    """

    def __init__(self, strategy: Callable[[], AllocationStrategy]) -> None:
        self._choose = strategy
        self._strategy: AllocationStrategy | None = None
        self.groups: list[Group] = []
        self._by_key: dict[tuple[object, ...], Group] = {}
        self.types: dict[str, Mask] = {}
        self.levels: dict[str, list[Mask]] = {}
        """For each capability a mask for each level from 0: the groups that have it at that level or better."""
        self.labels: dict[tuple[str, str], Mask] = {}
        self._signatures: dict[tuple[object, ...], Signature] = {}

    def group(self, given: ResourceInstance) -> Group:
        """Return the group of an entity, made if need be.

        Raises:
            InvalidRequestError: The strategy raised, or its rank is no finite number.
        """
        levels = tuple([(one.type, one.level) for one in given.capabilities])
        key = given.type, levels, tuple(given.labels.items()), given.capacity
        found = self._by_key.get(key)
        if found is None:
            shape = ResourceClass(given.type, dict(levels), dict(given.labels))
            found = Group(shape, given.capacity, len(self.groups))
            if self._strategy is not None:
                found.rank = _rank(self._strategy, shape)
            self._by_key[key] = found
            self._index(found)
        return found

    def _index(self, group: Group) -> None:
        bit = 1 << group.number
        self.groups.append(group)
        self.types[group.shape.type] = self.types.get(group.shape.type, 0) | bit
        for name, level in group.shape.capabilities.items():
            masks = self.levels.setdefault(name, [0] * (LEVELS[-1] + 1))
            for each in range(level + 1):
                masks[each] |= bit
        for label in group.shape.labels.items():
            self.labels[label] = self.labels.get(label, 0) | bit

    def signature(self, requirement: ResourceRequirement) -> Signature:
        """Return what fits a requirement, the same object for the same conditions.

        Raises:
            InvalidRequestError: The strategy raised, or its rank is no finite number.
        """
        if self._strategy is None:
            strategy = self._choose()
            for group in self.groups:
                group.rank = _rank(strategy, group.shape)
            self._strategy = strategy
        made = Signature(requirement)
        if len(self._signatures) >= _MOST_SIGNATURES:
            self._signatures.clear()
        found = self._signatures.setdefault(made.key, made)
        self.refresh(found)
        return found

    def refresh(self, signature: Signature) -> None:
        """Take groups into account that are new since the last time."""
        if signature.seen == len(self.groups):
            return
        mask = (1 << len(self.groups)) - 1
        for _, condition in self.conditions(signature):
            mask &= condition
        signature.mask = mask
        new = [self.groups[signature.seen + place] for place in bits(signature.mask >> signature.seen)]
        signature.groups = tuple(sorted([*signature.groups, *new], key=lambda one: (one.rank, one.number)))
        signature.seen = len(self.groups)

    def conditions(self, signature: Signature) -> Iterator[Condition]:
        """Yield each condition in words, with the groups that fulfil it."""
        if signature.type:
            yield f"type {signature.type}", self.types.get(signature.type, 0)
        for name, level in signature.capabilities:
            yield f"{name} >= {level}", self.levels[name][level] if name in self.levels else 0
        for key, value in signature.labels:
            yield f"{key}={value}", self.labels.get((key, value), 0)

    def similar(self, signature: Signature) -> list[str]:
        """Return a question for each word that nobody ever used, where a known one is much like it."""
        pairs = self.unknown(signature.type, [name for name, _ in signature.capabilities])
        return [f"{word!r} is unknown; did you mean {found!r}?" for word, found in pairs]

    def unknown(self, kind: str, capabilities: Iterable[str]) -> list[tuple[str, str]]:
        """Return each word that nobody ever used but that is much like a known one, with that one."""
        found = []
        if kind and kind not in self.types and kind not in TYPICAL:
            found.append((kind, nearest(kind, {*self.types, *TYPICAL})))
        new = [one for one in capabilities if one not in self.levels and one not in _KNOWN]
        found += [(one, nearest(one, {*self.levels, *_KNOWN})) for one in new]
        return [(word, known) for word, known in found if known]


def _rank(strategy: AllocationStrategy, shape: ResourceClass) -> float:
    remedy = "Correct the strategy, or use first_fit or best_fit."
    try:
        rank = float(strategy.rank(shape))
    except Exception as error:
        raise InvalidRequestError(f"The strategy {strategy.name!r} failed: {error!r:.200}.", remedy) from error
    if not math.isfinite(rank):
        raise InvalidRequestError(
            f"The strategy {strategy.name!r} ranks a class with {rank}; a finite number is allowed.", remedy
        )
    return rank


def bits(mask: Mask) -> Iterator[int]:
    """Yield the places of the bits that are set, lowest first."""
    text = bin(mask)[:1:-1]
    place = text.find("1")
    while place >= 0:
        yield place
        place = text.find("1", place + 1)
