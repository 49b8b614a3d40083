"""`Explainer`: works out an explanation with the planner that also allocates. The pool's lock must be held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, islice

from plugin_pool.entity import Entity
from plugin_pool.explanation import Blocker, Explanation, NearMiss, Part, Step
from plugin_pool.group import Group
from plugin_pool.index import bits, selectors
from plugin_pool.line import Line
from plugin_pool.planner import Plan
from plugin_pool.records import ResourceRequirement, Tier
from plugin_pool.request import Line as Needed
from plugin_pool.request import Request
from plugin_pool.stock import Stock
from plugin_pool.waiter import Waiter

_SHOWN = 10
_MISSES = 3
_TRIED = 64
"""Up to so many lines that cannot be met together it is tried which of them can be left out."""
_LOOKED_AT = 10_000
"""So many leases, or entities out of service, are looked at for blockers, the oldest first."""

_BEFORE = {Tier.BUSY: Tier.FREE, Tier.ERROR: Tier.BUSY, Tier.IMPOSSIBLE: Tier.ERROR}


class Lacking:
    """What would do for what a plan lacks: the groups, and the names of entities.

    What the task holds itself, its `own`, would not.
    """

    def __init__(self, plan: Plan, own: Sequence[Entity]) -> None:
        self.own = own
        self.groups: set[Group] = set()
        self.names: set[str] = set()
        for line in plan.short:
            if line.requirement.ids:
                self.names.update(line.requirement.ids)
            else:
                self.groups.update(line.signature.groups)

    def among(self, entities: Iterable[Entity]) -> Iterator[Entity]:
        """Yield those entities that would do."""
        groups, names, own = self.groups, self.names, self.own  # as there may be many to look at
        for one in entities:
            if (one.group in groups or one.id in names) and one not in own:
                yield one

    def fits(self, entity: Entity) -> bool:
        """Return whether an entity would do if it were not the task's own."""
        return entity.group in self.groups or entity.id in self.names


class Explainer:
    """Explains the requests of one pool."""

    def __init__(self, stock: Stock, line: Line, clock: Callable[[], float]) -> None:
        self._stock = stock
        self._line = line
        self._clock = clock

    def held(self, task: str, resources: tuple[str, ...]) -> Explanation:
        """Explain a task that has what it needs."""
        return Explanation(task, Tier.FREE, resources, (), (), 0, 0, (), (), 0, "", 0, 0.0, "")

    def explain(self, request: Request, waiter: Waiter | None = None) -> Explanation:
        """Explain a request, or a task that waits with it."""
        own = waiter.own if waiter is not None else ()
        tier = self._stock.planner.tier(request, own)
        whole = self._stock.planner.plan(request, _BEFORE[tier], aside=own) if tier in _BEFORE else Plan()
        plan = self._unmet(request, whole, _BEFORE[tier], own) if tier in _BEFORE else whole
        needed = sum([one.units for one in plan.unmet])
        lacking = Lacking(whole, own)
        blockers = list(islice(self._blockers(lacking, tier), _SHOWN))
        lines = (*request.named, *request.lines, *request.optional)
        return Explanation(
            task=waiter.task_id if waiter else "",
            tier=tier,
            held=tuple([one.id for one in own]),
            parts=tuple([self._part(one) for one in lines]),
            unmet=tuple([one.short(one.units) for one in plan.unmet]),
            needed=needed,
            found=needed - sum([one.count for one in plan.missing]),
            similar=tuple([hint for one in lines for hint in self._stock.index.similar(one.signature)]),
            blockers=tuple(blockers),
            blocked=max(self._blocked(lacking, tier), len({one.id for one in blockers})),
            kept_for=self._kept_for(request, waiter, own) if tier is Tier.FREE else "",
            position=self._line.ahead_of(waiter) + 1 if waiter else 0,
            waited=self._clock() - waiter.since if waiter else 0.0,
            change=_change(tier, whole.missing, blockers),
        )

    def _kept_for(self, request: Request, waiter: Waiter | None, own: Sequence[Entity]) -> str:
        """Return the first task that waits longer and for which something is kept that a request needs."""
        before: list[Request] = []
        for one in self._line.privileged():
            if waiter is None or one.key < waiter.key:
                before.append(one.request)
                if not self._stock.planner.plan(request, before=before, aside=own).satisfied:
                    return one.task_id
        return ""

    def _unmet(self, request: Request, plan: Plan, tier: Tier, own: Sequence[Entity]) -> Plan:
        """Return the plan for the fewest lines of one that cannot be met in a tier."""
        # what is bound to names may count as well; then leave out what changes nothing
        lines = list(dict.fromkeys([*request.named, *plan.unmet]))
        for one in tuple(lines) if 1 < len(lines) <= _TRIED else ():
            rest = [other for other in lines if other is not one]
            if not self._stock.planner.plan(request.part(rest), tier, aside=own).satisfied:
                lines = rest
        whole = len(lines) == len(request.lines) + len(request.named)
        found = plan if whole else self._stock.planner.plan(request.part(lines), tier, aside=own)
        found.unmet = tuple(lines)
        return found

    def _part(self, line: Needed) -> Part:
        if line.requirement.ids:
            return Part(line.requirement, tuple(self._named(line)), ())
        signature, now = line.signature, self._stock.index.service
        if signature.explained is None or signature.explained[0] != now:
            signature.explained = (now, tuple(self._funnel(line)), tuple(islice(self._misses(line), _MISSES)))
        free = Step("free", sum([one.room for one in signature.with_room()]))
        return Part(line.short(line.units), (*signature.explained[1], free), signature.explained[2])

    def _funnel(self, line: Needed) -> Iterator[Step]:
        index = self._stock.index
        mask, totals = (1 << index.size) - 1, [one.total for one in index.groups]
        for condition, fulfil in index.conditions(line.signature):
            mask &= fulfil
            yield Step(condition, sum(compress(totals, selectors(mask))))
        yield Step("in service", sum([one.in_service for one in line.signature.groups]))

    def _named(self, line: Needed) -> Iterator[Step]:
        found = [self._stock.entities[one] for one in line.requirement.ids if one in self._stock.entities]
        yield Step("of that id", len(found))
        found = [one for one in found if self._stock.planner.fits(one, line)]
        yield Step("as required", len(found))
        found = [one for one in found if not one.service]
        yield Step("in service", len(found))
        yield Step("free", len([one for one in found if one.has_room]))

    def _misses(self, line: Needed) -> Iterator[NearMiss]:
        """Yield entities that miss one condition, then two, and so on; of the right type as long as there are any."""
        if any(one.total for one in line.signature.groups):
            return
        index = self._stock.index
        conditions = list(index.conditions(line.signature))
        there = [index.groups[one] for one in bits(index.types.get(line.signature.type, 0))]
        there = [one for one in there if one.total] or [one for one in index.groups if one.total]
        misses: list[tuple[int, int, Group]] = []
        for group in there:
            failed = sum([not fulfil >> group.number & 1 for _, fulfil in conditions])
            misses.append((failed, _gap(group, line), group))
        for _, _, group in sorted(misses, key=lambda one: one[:2]):
            lacking = [name for name, fulfil in conditions if not fulfil >> group.number & 1]
            name = group.example.id if group.example else f"a {group.shape.type}"
            yield NearMiss(name, tuple([_instead(group, one) for one in lacking]))

    def _blockers(self, lacking: Lacking, tier: Tier) -> Iterator[Blocker]:
        """Yield the entities that would do for what is lacking, and cannot be had; the oldest of each sort first."""
        if tier is Tier.ERROR:
            for entity in lacking.among(islice(self._stock.out_of_service, _LOOKED_AT)):
                yield Blocker(entity.id, entity.status.value)
        elif tier is Tier.BUSY:
            now = time.time()
            for lease in islice(self._stock.leases.values(), _LOOKED_AT):
                for entity in lacking.among(lease.entities):
                    if _is_full(entity):
                        left = None if lease.expires is None else max(lease.expires - self._clock(), 0.0)
                        yield Blocker(
                            entity.id, entity.status.value, lease.task_id, lease.since, now - lease.since, left
                        )

    def _blocked(self, lacking: Lacking, tier: Tier) -> int:
        """Return how many entities would do for what is lacking, and cannot be had."""
        if tier not in (Tier.BUSY, Tier.ERROR):
            return 0
        groups = lacking.groups
        named = [self._stock.entities[one] for one in lacking.names if one in self._stock.entities]
        named = [one for one in named if one.group not in groups]
        own = [one for one in lacking.own if lacking.fits(one)]
        if tier is Tier.ERROR:
            out = sum([bool(one.service) for one in named]) - sum([bool(one.service) for one in own])
            return sum([one.total - one.in_service for one in groups]) + out
        full = sum([_is_full(one) for one in named]) - sum([_is_full(one) for one in own])
        return sum([one.in_service - one.room for one in groups]) + full


def _is_full(entity: Entity) -> bool:
    return not entity.service and not entity.has_room


def _gap(group: Group, line: Needed) -> int:
    levels = group.shape.capabilities
    return sum([max(level - levels.get(name, 0), 0) for name, level in line.signature.capabilities])


def _instead(group: Group, condition: str) -> str:
    """Return what a group has instead of what a condition asks for."""
    name, is_level, level = condition.partition(" >= ")
    if is_level:
        return f"{name} {group.shape.capabilities.get(name, 0)} instead of {level}"
    if condition.startswith("type "):
        return f"the type {group.shape.type} instead of {condition[5:]}"
    key, _, value = condition.partition("=")
    return f"{key}={group.shape.labels.get(key, '')} instead of {value}"


def _change(tier: Tier, missing: list[ResourceRequirement], blockers: list[Blocker]) -> str:
    """Return the least that has to happen."""
    lacking = ", ".join([str(one) for one in missing])
    if tier is Tier.BUSY and blockers:
        tasks = " or ".join(list(dict.fromkeys([repr(one.task) for one in blockers]))[:3])
        return f"a release of {lacking}, as held by {tasks}"
    if tier is Tier.ERROR and blockers:
        return f"a repair of {lacking}, as {' or '.join([one.id for one in blockers][:3])}"
    return f"adding {lacking}" if tier is Tier.IMPOSSIBLE else ""
