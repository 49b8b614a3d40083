"""`Rounds`: goes through the cleanup participants until there is room, and measures who really gives it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from framework import CleanupParticipant, Host, limits
from framework.limits import Memory
from plugin_pressure.decisions import Decisions
from plugin_pressure.levels import AGGRESSIVE, NAMES
from plugin_pressure.options import Options
from plugin_pressure.ranking import STRIKES, Ranking, Standing
from plugin_pressure.records import Decision


class Plan(NamedTuple):
    """A round before it begins: at which level, why, from what reading, down to how many used bytes."""

    level: int
    reason: str
    memory: Memory
    goal: int

    @property
    def need(self) -> int:
        """Bytes to be freed."""
        return max(0, self.memory.used - self.goal)


class Rounds:
    """Does one round at a time. Thread-safe.

    Args:
        host: Whose participants are asked.
        options: The settings of the plugin.
        decisions: Where it is written down.
        reader: Reads the memory.
    """

    def __init__(self, host: Host, options: Options, decisions: Decisions, reader: limits.Reader) -> None:
        self._host = host
        self._options = options
        self._decisions = decisions
        self._reader = reader
        self._one = threading.Lock()
        self.ranking = Ranking()

    def run(self, plan: Plan, *, dry_run: bool, stopped: Callable[[], bool] = lambda: False) -> Decision:
        """Do a round, or only say what it would do; return what was decided.

        Args:
            plan: What is to be reached.
            dry_run: Whether nobody is asked.
            stopped: Asked before each participant; true ends the round.
        """
        with self._one:
            ordered = self._ordered()
            names = tuple(one.name for one in ordered)
            if not plan.need or not ordered or dry_run:
                return self._decisions.add(self._without(plan, names, dry_run=dry_run))
            enough = _Enough(plan, self._reader)
            report = self._host.cleaner.request(
                aggressive=plan.level >= AGGRESSIVE,
                reason=f"pressure: {plan.reason}",
                participants=ordered,
                enough=lambda: stopped() or enough.met(),
                seconds=self._options.participant_budget,
                reader=self._reader,
            )
            for one in report.outcomes:
                freed = max(one.freed_bytes, one.group_freed_bytes)
                self._learn(
                    plan, self.ranking.learn(one.participant, one.claimed_bytes, freed, one.duration_s, one.error)
                )
            decision = _decision(
                plan,
                "clean_aggressively" if report.aggressive else "clean",
                participants=tuple(one.participant for one in report.outcomes),
                claimed=sum(one.claimed_bytes for one in report.outcomes),
                freed=report.freed_bytes,
                group_freed=report.group_freed_bytes,
                met=enough.met(),
            )
            return self._decisions.add(decision)

    def _ordered(self) -> list[CleanupParticipant]:
        present: dict[str, list[CleanupParticipant]] = {}
        for one in self._host.cleaner.participants():
            present.setdefault(one.name, []).append(one)
        self.ranking.forget(present)
        names = self.ranking.order((name, getattr(found[0], "cost", 1.0)) for name, found in present.items())
        return [one for name in names for one in present[name]]

    def _without(self, plan: Plan, names: tuple[str, ...], *, dry_run: bool) -> Decision:
        """Return the decision of a round in which nobody is asked."""
        if not plan.need:
            return _decision(plan, "nothing", dry_run=dry_run)
        if not names:
            nobody = plan._replace(reason=f"{plan.reason}, but nothing takes part in cleanups")
            return _decision(nobody, "nothing", dry_run=dry_run, met=False)
        action = "clean_aggressively" if plan.level >= AGGRESSIVE else "clean"
        return _decision(plan, action, participants=names, dry_run=True)

    def _learn(self, plan: Plan, standing: Standing) -> None:
        if standing.strikes == STRIKES:
            reason = f"{STRIKES} answers in a row were of no use; of the last one: {standing.fault}"
            demoted = plan._replace(reason=reason)
            self._decisions.add(_decision(demoted, "demote", participants=(standing.name,)))


class _Enough:
    """Says whether what was needed is there. Not asked again is what the plan says already: each look costs time."""

    def __init__(self, plan: Plan, reader: limits.Reader) -> None:
        self._plan = plan
        self._reader = reader
        self._resident = limits.resident_bytes()
        self._looked = False

    def met(self) -> bool:
        if not self._looked:
            self._looked = True
            return False
        if self._reader.memory().used <= self._plan.goal:
            return True
        # the machine's figures lag behind by up to a second, and more than what is needed would be dropped
        machine = self._plan.memory.source == limits.MACHINE
        return machine and self._resident - limits.resident_bytes() >= self._plan.need


def failed(plan: Plan, error: BaseException) -> Decision:
    """Return the decision of a round that could not be done."""
    return _decision(plan._replace(reason=f"{plan.reason}; {type(error).__name__}: {error}"), "nothing", met=False)


def _decision(plan: Plan, action: str, **fields: Any) -> Decision:
    return Decision(
        time.time(),
        action,
        NAMES[plan.level],
        plan.memory.used,
        plan.memory.limit,
        need=plan.need,
        reason=plan.reason,
        **fields,
    )
