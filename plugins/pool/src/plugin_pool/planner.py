"""`Planner`: which entities a request would take, of those that are free, or in service, or there at all.

One planner serves checking, allocating, waiting and explaining, so that they cannot disagree. It changes nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from framework import Hint
from plugin_pool.entity import IN_SERVICE, Entity
from plugin_pool.group import Group
from plugin_pool.index import Index, Signature
from plugin_pool.matching import Matching
from plugin_pool.records import ResourceRequirement, Tier
from plugin_pool.request import Line, Request

_COUNTS: Mapping[Tier, Callable[[Group], int]] = {
    Tier.FREE: operator.attrgetter("room"),
    Tier.BUSY: operator.attrgetter("in_service"),
    Tier.ERROR: operator.attrgetter("total"),
}
"""How many entities of a group a tier has."""

_PREFERRED = 16
"""So many of the entities that a hint prefers are looked at."""


@dataclass(slots=True)
class Plan:
    """What a request would take.

    Attributes:
        named: The entities that it names and would get.
        takes: How many entities of which group.
        missing: The required lines that fall short, with the units that are lacking.
        unmet: The first line that names what cannot be had; else the fewest lines that together cannot be met beside
            the named ones.
        short: All lines that compete for what there is too little of; more of that for each of them would do.
        excluded: Entities that `takes` must not be met with.
        prefer: Entities to take of a group before others.
    """

    named: list[Entity] = field(default_factory=list)
    takes: dict[Group, int] = field(default_factory=dict)
    missing: list[ResourceRequirement] = field(default_factory=list)
    unmet: tuple[Line, ...] = ()
    short: dict[Line, None] = field(default_factory=dict)
    excluded: Collection[Entity] = ()
    prefer: tuple[Entity, ...] = ()

    @property
    def satisfied(self) -> bool:
        """True when nothing that is required is lacking."""
        return not self.missing

    def entities(self) -> Iterator[Entity]:
        """Yield the entities that would be taken if that were done now, as far as the strategy lets that be known."""
        yield from self.named
        for group, units in self.takes.items():
            yield from self.first(group, units)

    def first(self, group: Group, units: int) -> list[Entity]:
        """Return so many entities of a group, preferred ones first, none of them excluded."""
        if not self.prefer:
            return list(islice((one for one in group.bag if one not in self.excluded), units))
        found = dict.fromkeys([one for one in self.prefer if one.group is group and one.has_room], True)
        wanted = (one for one in chain(found, group.bag) if one not in self.excluded)
        return list(islice(dict.fromkeys(islice(wanted, units + len(found))), units))


class _Bound:
    """Entities that are spoken for, and what that leaves of the room of groups."""

    def __init__(self, tier: Tier, aside: Iterable[Entity]) -> None:
        self.tier = tier
        self.less: dict[Group, int] = {}
        self.entities: set[Entity] = set()
        for entity in aside:
            self.bind(entity)

    def bind(self, entity: Entity) -> bool:
        """Speak for an entity; False where it cannot be had, or is spoken for already."""
        if entity in self.entities or not _there(entity, self.tier):
            return False
        self.entities.add(entity)
        self.less[entity.group] = self.less.get(entity.group, 0) + 1
        return True

    def counter(self) -> Callable[[Group], int]:
        """Return what tells how many entities of a group can be had and are not spoken for."""
        count, less = _COUNTS[self.tier], self.less
        return (lambda group: count(group) - less.get(group, 0)) if less else count


class Planner:
    """Plans for the entities of one pool.

    Args:
        index: Their groups.
        entities: All of them by id.
        out_of_service: Those that are faulty or draining.
    """

    def __init__(self, index: Index, entities: Mapping[str, Entity], out_of_service: Collection[Entity]) -> None:
        self._index = index
        self._entities = entities
        self._out_of_service = out_of_service

    def plan(
        self,
        request: Request,
        tier: Tier = Tier.FREE,
        *,
        before: Sequence[Request] = (),
        aside: Sequence[Entity] = (),
        task_id: str | None = None,
    ) -> Plan:
        """Return what a request would take of what a tier has.

        Args:
            request: What is needed.
            tier: FREE plans with entities that have room, BUSY with all in service, ERROR with all there are.
            before: Requests that come first: nothing is taken that would leave one of them with less than it has now.
            aside: Entities that must not be taken.
            task_id: The task for which the strategy is asked what it would like.
        """
        steering = self._index.choose()
        if tier is Tier.FREE and (steering.has_bags or steering.has_hints):
            return self._steered(request, steering.hint(task_id) if task_id else None, before, aside)
        if before or aside or not request.plain:
            return self._plan(request, tier, before, aside, _as_ranked)
        request.refresh()
        if request.only is not None:
            return self._one(request.lines[0], tier)
        return self._lines(request, tier)

    def _lines(self, request: Request, tier: Tier) -> Plan:
        """Do what `_plan` does, quicker, where nothing is named or optional and nobody comes first."""
        lines, room = request.scarce, _COUNTS[tier]
        free = tier is Tier.FREE
        choices = [one.signature.with_room() if free else one.signature.groups for one in lines]
        takes = _greedily(lines, choices, room)
        if takes is not None:
            return Plan(takes=takes)
        plan, matching = Plan(), Matching(choices, room)
        for number, line in enumerate(lines):
            placed = matching.place(number, line.units)
            if placed < line.units:
                self._short(matching, placed, line, plan, lines)
        takes = plan.takes
        for flow in matching.flows:
            for group, units in flow.items():
                takes[group] = takes[group] + units if group in takes else units
        return plan

    def _steered(self, request: Request, hint: Hint | None, before: Sequence[Request], aside: Sequence[Entity]) -> Plan:
        """Plan as the strategy likes it for one task."""
        request.refresh()
        if hint is None and request.only is not None and not before and not aside:
            cheapest = self._index.cheapest(request.only)
            return Plan(takes={cheapest: 1}) if cheapest else self._one(request.lines[0], Tier.FREE)
        preferred = self._preferred(hint)
        first = {one.group: number for number, one in reversed(list(enumerate(preferred)))}

        def order(signature: Signature) -> Sequence[Group]:
            groups = self._index.ordered(signature, hint)
            return sorted(groups, key=lambda one: first.get(one, len(first))) if first else groups

        if request.only is not None and not before and not aside:
            plan = self._one(request.lines[0], Tier.FREE, order(request.only))
        else:
            plan = self._plan(request, Tier.FREE, before, aside, order)
        plan.prefer = preferred
        return plan

    def _preferred(self, hint: Hint | None) -> tuple[Entity, ...]:
        """Return the entities that a hint prefers and that can be had."""
        names = hint.prefer[:_PREFERRED] if hint else ()
        found = [self._entities[one] for one in names if one in self._entities]
        return tuple([one for one in found if one.has_room])

    def _plan(
        self,
        request: Request,
        tier: Tier,
        before: Sequence[Request],
        aside: Sequence[Entity],
        order: Callable[[Signature], Sequence[Group]],
    ) -> Plan:
        request.refresh()
        kept = [*aside, *self._named(before)]
        bound = _Bound(tier, kept)
        plan = Plan(excluded=bound.entities)
        reach = [self._reach(one, _Bound(tier, kept)) for one in before] if request.named else []
        for line in request.named:
            self._bind(line, bound, plan)
        lines = request.scarce
        ahead = [line for one in before for line in one.lines]
        matching = Matching([order(one.signature) for one in (*ahead, *lines, *request.optional)], bound.counter())
        placed = [matching.place(number, line.units) for number, line in enumerate(ahead)]
        if reach and sum(placed) < sum(reach):
            plan.missing.extend([line.requirement for line in request.named])
        for number, line in enumerate(lines, len(ahead)):
            units = matching.place(number, line.units)
            if units < line.units:
                self._short(matching, units, line, plan, [*ahead, *lines])
        if plan.satisfied:
            matching = self._optional(request, matching, len(ahead) + len(lines), bound, plan)
        for flow in matching.flows[len(ahead) :]:
            for group, units in flow.items():
                plan.takes[group] = plan.takes.get(group, 0) + units
        return plan

    def tier(self, request: Request, aside: Sequence[Entity] = (), *, better: Tier = Tier.FREE) -> Tier:
        """Return what it would take to meet a request, `better` at best, without the entities that are set aside."""
        if better is Tier.FREE and self.plan(request, aside=aside).satisfied:
            return better
        if aside:
            return self._tier(request, aside)
        if request.known_at != self._index.service:  # only who comes, goes, fails or is repaired makes a difference
            request.known, request.known_at = self._tier(request, ()), self._index.service
        return request.known

    def _tier(self, request: Request, aside: Sequence[Entity]) -> Tier:
        tiers = (Tier.BUSY, Tier.ERROR) if self._out_of_service else (Tier.BUSY,)  # else they have the same entities
        return next((one for one in tiers if self.plan(request, one, aside=aside).satisfied), Tier.IMPOSSIBLE)

    def fits(self, entity: Entity, line: Line) -> bool:
        """Return whether an entity is of the kind that a line needs."""
        return bool(line.signature.mask >> entity.group.number & 1)

    def _one(self, line: Line, tier: Tier, groups: Sequence[Group] | None = None) -> Plan:
        """Do what `_plan` does, quicker, where one entity is needed and nobody comes first."""
        count = _COUNTS[tier]
        if groups is None:
            groups = line.signature.with_room() if tier is Tier.FREE else line.signature.groups
        for group in groups:
            if count(group):
                return Plan(takes={group: 1})
        return Plan(missing=[line.requirement], unmet=(line,), short={line: None})

    def _named(self, requests: Iterable[Request]) -> list[Entity]:
        names = [name for one in requests for line in one.named for name in line.requirement.ids]
        return [self._entities[name] for name in names if name in self._entities]

    def _reach(self, request: Request, bound: _Bound) -> int:
        """Return how many units of a request that is waiting could be had now."""
        request.refresh()
        matching = Matching([one.signature.groups for one in request.lines], bound.counter())
        return sum([matching.place(number, line.units) for number, line in enumerate(request.lines)])

    def _bind(self, line: Line, bound: _Bound, plan: Plan) -> None:
        lacking = []
        for name in line.requirement.ids:
            entity = self._entities.get(name)
            if entity is not None and self.fits(entity, line) and bound.bind(entity):
                plan.named.append(entity)
            else:
                lacking.append(name)
        if lacking:
            plan.missing.append(only(line, lacking))
            plan.short[line] = None
            plan.unmet = plan.unmet or (line,)

    def _short(self, matching: Matching, placed: int, line: Line, plan: Plan, lines: Sequence[Line]) -> None:
        """Take note that a line of which so many units were placed falls short."""
        plan.missing.append(line.short(line.units - placed))
        reached = [lines[one] for one in matching.reached]
        plan.short.update(dict.fromkeys(reached))
        plan.unmet = plan.unmet or tuple(reached)

    def _optional(self, request: Request, matching: Matching, start: int, bound: _Bound, plan: Plan) -> Matching:
        """Add the optional lines for which there is room as a whole."""
        for number, line in enumerate(request.optional, start):
            if line.requirement.ids:
                found = [self._entities[one] for one in line.requirement.ids if one in self._entities]
                # what is already placed must not lose its place, so only what no group needs any more is taken
                if len(found) == line.units and all(self.fits(one, line) for one in found):
                    self._add(found, matching, bound, plan)
                continue
            tried = matching.copy()
            if tried.place(number, line.units) == line.units:
                matching = tried
        return matching

    def _add(self, found: list[Entity], matching: Matching, bound: _Bound, plan: Plan) -> None:
        need: dict[Group, int] = {}
        for one in found:
            need[one.group] = need.get(one.group, 0) + 1
        spare = all(matching.spare(group) >= units for group, units in need.items())
        if spare and not bound.entities & set(found) and all(_there(one, bound.tier) for one in found):
            for group, units in need.items():  # before they are bound, which makes less room as well
                matching.left[group] = matching.spare(group) - units
            for one in found:
                bound.bind(one)
                plan.named.append(one)


def _greedily(
    lines: Sequence[Line], choices: Sequence[Sequence[Group]], room: Callable[[Group], int]
) -> dict[Group, int] | None:
    """Return what a matching would take in which nothing has to be moved, at half the price; else None."""
    takes: dict[Group, int] = {}
    for line, groups in zip(lines, choices, strict=True):
        wanted = line.units
        for group in groups:
            taken = takes.get(group, 0)
            spare = room(group) - taken
            if spare >= wanted:
                takes[group] = taken + wanted
                break
            if spare:
                takes[group] = taken + spare
                wanted -= spare
        else:
            return None
    return takes


def _as_ranked(signature: Signature) -> Sequence[Group]:
    return signature.groups


def only(line: Line, ids: Iterable[str]) -> ResourceRequirement:
    """Return the requirement of a line that names entities, for some of them."""
    names = tuple(ids)
    return replace(line.requirement, ids=names, count=len(names))


def _there(entity: Entity, tier: Tier) -> bool:
    if tier is Tier.FREE:
        return entity.has_room
    return entity.service == IN_SERVICE if tier is Tier.BUSY else True
