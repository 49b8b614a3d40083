"""`Request`: what a task needs, prepared once so that it can be asked for many times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from framework.errors import InvalidRequestError
from plugin_pool.index import Index, Signature
from plugin_pool.records import ResourceRequirement, Tier
from plugin_pool.vocabulary import MOST_REQUIREMENTS, MOST_UNITS

if TYPE_CHECKING:
    from plugin_pool.queues import Queue


class Line:
    """One requirement, with what fits it."""

    __slots__ = ("requirement", "signature", "units")

    def __init__(self, requirement: ResourceRequirement, signature: Signature) -> None:
        self.requirement = requirement
        self.signature = signature
        self.units = requirement.count

    def short(self, units: int) -> ResourceRequirement:
        """Return the requirement for so many units of it."""
        return self.requirement if units == self.requirement.count else replace(self.requirement, count=units)


class Request:
    """What a task needs, all of it at once.

    Equal requirements are added up. Make it with `ResourcePool.prepare`; it is good for that pool only.

    Attributes:
        lines: Required, of which any entities that fit will do.
        named: Required, certain entities.
        optional: Taken where there is room for a whole line, in this order.
        only: The signature, where just one entity of any kind that fits is needed; else None.
        plain: True where nothing is named and nothing optional.
        units: How many entities it needs.
        queue: The tasks that wait with it, perhaps out of date.
        known: What it takes to meet it where it cannot be met at once, as of the index's `service` at `known_at`.
    """

    __slots__ = (
        "_scarce",
        "_seen",
        "index",
        "key",
        "known",
        "known_at",
        "lines",
        "named",
        "only",
        "optional",
        "plain",
        "queue",
        "units",
    )

    def __init__(self, index: Index, requirements: Iterable[ResourceRequirement]) -> None:
        lines = _merged(index, requirements)
        self.index = index
        self.lines = tuple([one for one in lines if not (one.requirement.ids or one.requirement.optional)])
        self.named = tuple([one for one in lines if one.requirement.ids and not one.requirement.optional])
        self.optional = tuple([one for one in lines if one.requirement.optional])
        self.units = sum([one.units for one in (*self.lines, *self.named)])
        single = len(lines) == 1 and len(self.lines) == 1 and self.units == 1
        self.only = self.lines[0].signature if single else None
        self.plain = len(lines) == len(self.lines)
        self.key = tuple([_key(one) for one in lines])
        self._scarce, self._seen = self.lines, -1
        self.known, self.known_at = Tier.IMPOSSIBLE, -1
        self.queue: Queue | None = None
        if self.units + sum([one.units for one in self.optional]) > MOST_UNITS:
            raise InvalidRequestError(
                f"A request asks for more than {MOST_UNITS:,} entities.", "Divide it into several requests."
            )

    def part(self, lines: Iterable[Line]) -> Request:
        """Return a request for some of the required lines."""
        made = object.__new__(Request)
        made.index, made.optional, made.only = self.index, (), None
        chosen = set(lines)
        made.lines = tuple([one for one in self.lines if one in chosen])
        made.named = tuple([one for one in self.named if one in chosen])
        made.units = sum([one.units for one in (*made.lines, *made.named)])
        made.plain = not made.named
        made.key = tuple([_key(one) for one in (*made.lines, *made.named)])
        made._scarce, made._seen = made.lines, -1
        made.known, made.known_at = Tier.IMPOSSIBLE, -1
        made.queue = None
        return made

    def refresh(self) -> None:
        """Take groups into account that are new."""
        if self._seen == self.index.size:
            return
        for one in (*self.lines, *self.named, *self.optional):
            self.index.refresh(one.signature)
        self._scarce = tuple(sorted(self.lines, key=lambda one: len(one.signature.groups)))
        self._seen = self.index.size

    @property
    def scarce(self) -> tuple[Line, ...]:
        """The required lines, those that the fewest groups fit first: in that order least has to be moved later."""
        self.refresh()
        return self._scarce

    @property
    def mask(self) -> int:
        """The groups that fit any of the required lines."""
        mask = 0
        for one in (*self.lines, *self.named):
            mask |= one.signature.mask
        return mask

    def __str__(self) -> str:
        return ", ".join([str(one.short(one.units)) for one in (*self.lines, *self.named, *self.optional)])


def _key(line: Line) -> tuple[object, ...]:
    return line.signature.key, line.units, line.requirement.optional, line.requirement.ids


def _merged(index: Index, requirements: Iterable[ResourceRequirement]) -> list[Line]:
    lines: dict[object, Line] = {}
    for number, one in enumerate(requirements):
        line = Line(one, index.signature(one))
        alone = number if one.optional or one.ids else None
        first = lines.setdefault((line.signature.key, alone), line)
        if first is not line:
            first.units += line.units
        elif len(lines) > MOST_REQUIREMENTS:
            raise InvalidRequestError(
                f"A request has more than {MOST_REQUIREMENTS:,} different requirements.",
                "Divide it into several requests.",
            )
    return list(lines.values())
