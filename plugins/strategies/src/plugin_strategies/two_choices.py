"""`TwoChoices`: the better of two entities drawn at random."""

from __future__ import annotations

import random

from framework import Bag, Member, ResourceClass
from framework.errors import InvalidRequestError


class TwoChoices:
    """Draws two entities at random and takes the one that fewer tasks hold.

    Almost as even as comparing all of them, and it needs no order (Mitzenmacher, "The power of two choices in
    randomized load balancing", IEEE Transactions on Parallel and Distributed Systems 12, 2001). Two are drawn of each
    class that fits.

    Args:
        seed: Makes the draws repeatable.

    Raises:
        InvalidRequestError: The seed is no integer.
    """

    name = "two_choices"

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and type(seed) is not int:
            raise InvalidRequestError(f"The seed is {seed!r:.60}; an integer is allowed.", "Leave it out for chance.")
        self._random = random.Random(seed)  # noqa: S311 - it balances load and guards nothing

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the same for all, so that the number of holders decides."""
        return 0.0

    def bag(self, resource_class: ResourceClass) -> Bag:
        """Return a bag from which two are drawn."""
        return _Urn(self._random)


class _Urn:
    """The entities of one class in no order: an array, and where in it each is."""

    __slots__ = ("_members", "_next", "_places", "_random")

    def __init__(self, generator: random.Random) -> None:
        self._random = generator.random
        self._members: list[Member] = []
        self._places: dict[Member, int] = {}
        self._next: Member | None = None
        """The one that was drawn; it stays the next one until it leaves."""

    def push(self, member: Member) -> None:
        """Take in an entity that is not here."""
        self._places[member] = len(self._members)
        self._members.append(member)

    def pop(self) -> Member:
        """Give the better of two."""
        member = self._draw()
        self.discard(member)
        return member

    def discard(self, member: Member) -> None:
        """Let an entity go that is here; the last one takes its place."""
        place, last = self._places.pop(member), self._members.pop()
        if last is not member:
            self._members[place] = last
            self._places[last] = place
        if self._next is member:
            self._next = None

    def key(self) -> float:
        """Return how many tasks hold the next one."""
        return float(self._draw().load)

    def _draw(self) -> Member:
        if self._next is None:
            count = len(self._members)
            one = int(self._random() * count)
            # the other one is any but the first; where there is no other, it is the same
            other = (one + 1 + int(self._random() * (count - 1))) % count
            first, second = self._members[one], self._members[other]
            self._next = second if second.load < first.load else first
        return self._next
