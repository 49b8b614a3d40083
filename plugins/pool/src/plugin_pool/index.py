"""`Index`: finds the groups that fit what is required, by AND-ing one bit mask for each condition.

Each group has a bit. There is a mask for each type, for each capability at each level or better, and for each label;
what is required is the AND of a few of them, worked out once and remembered as a `Signature`. A new group needs a bit
in the masks that it belongs to; signatures look at new groups only, when they are next asked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, count, takewhile
from typing import TYPE_CHECKING

from framework import AllocationStrategy, Hint, ResourceClass
from framework.errors import nearest
from plugin_pool.bags import Guarded
from plugin_pool.group import Group, Kind
from plugin_pool.records import ResourceInstance, ResourceRequirement
from plugin_pool.steering import Steering
from plugin_pool.vocabulary import INFERRED, LEVELS, TYPICAL

if TYPE_CHECKING:
    from plugin_pool.explanation import NearMiss, Step

_MOST_SIGNATURES = 4096
"""Signatures that are remembered; then all are forgotten, and worked out again when they are needed."""

_KNOWN = frozenset([*INFERRED, *(one for names in TYPICAL.values() for one in names)])

Mask = int
Condition = tuple[str, Mask]


class Signature:
    """The groups that fit one line of a request, those that the strategy prefers first.

    Attributes:
        mask: Their bits.
        seen: How many groups there were when these were found.
        roomy: Those that had room when the version of their type was `version`.
        similar: Questions about its words, with the number of groups at the time.
        explained: What does not depend on who holds what of its explanation, with the index's `service` at the time.
    """

    __slots__ = (
        "capabilities",
        "explained",
        "groups",
        "kind",
        "labels",
        "mask",
        "roomy",
        "seen",
        "similar",
        "type",
        "version",
    )

    def __init__(self, requirement: ResourceRequirement, kind: Kind) -> None:
        self.type = requirement.type
        self.kind = kind
        self.roomy: tuple[Group, ...] = ()
        self.version = -1
        self.similar: tuple[int, list[str]] | None = None
        self.explained: tuple[int, tuple[Step, ...], tuple[NearMiss, ...]] | None = None
        self.capabilities = tuple([(one.type, one.min_level) for one in requirement.capabilities])
        self.labels = tuple(requirement.labels.items())
        self.mask: Mask = 0
        self.groups: tuple[Group, ...] = ()
        self.seen = 0

    @property
    def key(self) -> tuple[object, ...]:
        """What two signatures have in common that are the same."""
        return self.type, self.capabilities, self.labels

    def with_room(self) -> tuple[Group, ...]:
        """Return the groups that have room."""
        if not self.type:  # it stands for entities that are named, of whatever types
            return tuple([one for one in self.groups if one.room])
        if self.version != self.kind.version:
            self.roomy = tuple([one for one in self.groups if one.room])
            self.version = self.kind.version
        return self.roomy


class Index:
    """All groups, and the masks by which they are found.

    Args:
        strategy: Returns the strategy that ranks groups; called once, when something is required for the first time.
    """

    def __init__(self, strategy: Callable[[], AllocationStrategy]) -> None:
        self._choose = strategy
        self.steering: Steering | None = None
        self.groups: list[Group] = []
        self.size = 0
        """How many groups there are."""
        self.service = 0
        """Changes whenever an entity comes, goes, leaves service or is back in it."""
        self._by_key: dict[tuple[object, ...], Group] = {}
        self._kinds: dict[str, Kind] = {}
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
            found = Group(shape, given.capacity, self.size, self._kind(given.type))
            if self.steering is not None:
                found.rank = self.steering.rank(shape)
                self._keep(found, self.steering)
            self._by_key[key] = found
            self._index(found)
        return found

    def _kind(self, name: str) -> Kind:
        return self._kinds.setdefault(name, Kind())

    def choose(self) -> Steering:
        """Return the strategy, asked for when it is first needed, because the plugin that has it may start late.

        Raises:
            InvalidRequestError: The strategy raised, or its rank is no finite number.
        """
        if self.steering is None:
            steering = Steering(self._choose())
            ranks = [steering.rank(group.shape) for group in self.groups]
            for group, rank in zip(self.groups, ranks, strict=True):
                group.rank = rank
                self._keep(group, steering)
            self.steering = steering
        return self.steering

    def _keep(self, group: Group, steering: Steering) -> None:
        bag = steering.bag(group.shape)
        if bag is not None:
            group.keep_in(bag)

    def _index(self, group: Group) -> None:
        self.groups.append(group)
        self.size += 1
        self._mask(group)

    def mend(self) -> None:
        """Find all groups again, and the masks of each, after an interrupt."""
        self.groups[:] = self._by_key.values()
        self.size = len(self.groups)
        for group in self.groups:
            self._mask(group)
        self.service += 1

    def bag(self, group: Group) -> Guarded | None:
        """Return a new bag of the strategy for a group; None where it has none, or one that failed."""
        if self.steering is None or (isinstance(group.bag, Guarded) and not group.bag.works):
            return None
        return self.steering.bag(group.shape)

    def _mask(self, group: Group) -> None:
        bit = 1 << group.number
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
        self.choose()
        # a type that no entity has yet is none of the pool's: whoever asks for many must not fill its memory
        made = Signature(requirement, self._kinds.get(requirement.type) or Kind())
        if len(self._signatures) >= _MOST_SIGNATURES:
            self._signatures.clear()
        found = self._signatures.setdefault(made.key, made)
        self.refresh(found)
        return found

    def refresh(self, signature: Signature) -> None:
        """Take groups into account that are new since the last time."""
        if signature.seen == self.size:
            return
        mask = (1 << self.size) - 1
        for _, condition in self.conditions(signature):
            mask &= condition
        signature.mask = mask
        new = [self.groups[signature.seen + place] for place in bits(signature.mask >> signature.seen)]
        known = [one for one in signature.groups if one.number < signature.seen]  # more, where it was interrupted
        signature.groups = tuple(sorted([*known, *new], key=lambda one: (one.rank, one.number)))
        signature.kind = self._kinds.get(signature.type, signature.kind)
        signature.seen, signature.version = self.size, -1

    def ordered(self, signature: Signature, hint: Hint | None) -> Sequence[Group]:
        """Return the groups that fit, by what a hint says of labels, by rank, and by the next entity of each bag."""
        groups: Sequence[Group] = signature.groups
        if self.steering is not None and self.steering.has_bags:
            groups = sorted(groups, key=lambda one: (one.rank, one.key(), one.number))
        if hint is None or not (hint.near or hint.avoid):
            return groups
        near, avoid = self._near(hint), self._avoided(hint)
        return sorted(groups, key=lambda one: (avoid >> one.number & 1, not near >> one.number & 1))

    def cheapest(self, signature: Signature) -> Group | None:
        """Return the group that `ordered` would put first of those that have room, without putting them in order."""
        groups = signature.with_room()
        if len(groups) < 2 or groups[0].rank != groups[1].rank:
            return groups[0] if groups else None
        least = groups[0].rank
        return min(takewhile(lambda one: one.rank == least, groups), key=_key)

    def _near(self, hint: Hint) -> Mask:
        """Return the groups that have all labels of a hint."""
        mask = (1 << self.size) - 1
        for label in hint.near.items():
            mask &= self.labels.get(label, 0)
        return mask

    def _avoided(self, hint: Hint) -> Mask:
        """Return the groups that have a label that a hint avoids."""
        mask = 0
        for name, values in hint.avoid.items():
            for value in values:
                mask |= self.labels.get((name, value), 0)
        return mask

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
        if signature.similar is None or signature.similar[0] != self.size:  # words come with groups
            pairs = self.unknown(signature.type, [name for name, _ in signature.capabilities])
            told = [f"{word!r} is unknown; did you mean {found!r}?" for word, found in pairs]
            signature.similar = self.size, told
        return signature.similar[1]

    def unknown(self, kind: str, capabilities: Iterable[str]) -> list[tuple[str, str]]:
        """Return each word that nobody ever used but that is much like a known one, with that one."""
        found = []
        if kind and kind not in self.types and kind not in TYPICAL:
            found.append((kind, nearest(kind, {*self.types, *TYPICAL})))
        new = [one for one in capabilities if one not in self.levels and one not in _KNOWN]
        found += [(one, nearest(one, {*self.levels, *_KNOWN})) for one in new]
        return [(word, known) for word, known in found if known]


_key = operator.methodcaller("key")
_SELECTORS = bytes.maketrans(b"01", b"\0\1")


def selectors(mask: Mask) -> bytes:
    """Return a 0 or a 1 for each bit, lowest first, to the highest one that is set."""
    return bin(mask)[:1:-1].encode().translate(_SELECTORS)


def bits(mask: Mask) -> Iterator[int]:
    """Yield the places of the bits that are set, lowest first."""
    return compress(count(), selectors(mask))
