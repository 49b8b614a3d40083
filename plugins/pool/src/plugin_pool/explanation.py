"""`Explanation`: why a task has what it has, waits, or will never get what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from plugin_pool import words
from plugin_pool.records import ResourceRequirement, Tier


@dataclass(frozen=True, slots=True)
class Step:
    """How many entities fulfil a condition and all before it."""

    condition: str
    entities: int


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An entity that nearly fits; `lacks` says each condition that it misses, and what it has instead."""

    id: str
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One requirement: the funnel from the entities of its type to those that are free, and who nearly fits."""

    requirement: ResourceRequirement
    funnel: tuple[Step, ...]
    nearest: tuple[NearMiss, ...]


@dataclass(frozen=True, slots=True)
class Blocker:
    """An entity that would do, and why it cannot be had.

    `since` is in seconds since the epoch, `held_for` and `expires_in` in seconds; they are the task's that holds it.
    """

    id: str
    status: str
    task: str = ""
    since: float = 0.0
    held_for: float = 0.0
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request is met, waits, or cannot be met; all conditions, not only the first that fails.

    Attributes:
        task: The task, where one was asked about.
        tier: What it would take.
        held: Ids of what the task holds.
        parts: Each requirement by itself.
        unmet: The fewest requirements that together cannot be met; without any one of them the others could.
        needed: How many entities `unmet` needs.
        found: How many entities there are for all of `unmet`, in the tier before the one that it would take.
        similar: Words that are perhaps misspelt.
        blockers: Entities that would do, and who holds them or what is wrong with them; at most ten.
        blocked: How many those are altogether.
        kept_for: The task that waits longer and for which free entities are kept.
        position: Place in the queue, 1 being next; 0 when it does not wait.
        waited: Seconds it has waited.
        change: The smallest change that would do, in a few words.
    """

    task: str
    tier: Tier
    held: tuple[str, ...]
    parts: tuple[Part, ...]
    unmet: tuple[ResourceRequirement, ...]
    needed: int
    found: int
    similar: tuple[str, ...]
    blockers: tuple[Blocker, ...]
    blocked: int
    kept_for: str
    position: int
    waited: float
    change: str

    @property
    def sentence(self) -> str:
        """All of it in a sentence or a few."""
        if not self.parts:
            return f"The task {self.task!r} waits for nothing; it holds {', '.join(self.held)}."
        subject = f"The task {self.task!r}" if self.task else "The request"
        if not self.unmet and not self.kept_for:
            return f"{subject} can have everything now: {'; '.join([str(one.requirement) for one in self.parts])}."
        told = [f"{subject} {words.VERDICT[self.tier]}: {self._shortage()}.", self._reasons(), self._queue()]
        told += [f"{one[0].upper()}{one[1:]}" for one in self.similar]
        told.append(self.remedy)
        return " ".join([one for one in told if one])

    @property
    def remedy(self) -> str:
        """The smallest change that would do, as a sentence; empty where only time would."""
        comma = "," if ", as " in self.change else ""  # which ends what that one begins
        return f"{self.change[0].upper()}{self.change[1:]}{comma} would do." if self.change else ""

    def _shortage(self) -> str:
        if self.kept_for and not self.unmet:
            return f"what is free is kept for the task {self.kept_for!r}, which waits longer"
        wanted = " and ".join([str(one) for one in self.unmet])
        found = f"{self.found or 'none'} {words.WHERE[self.tier]}"
        if len(self.unmet) == 1:
            return f"{wanted} needed, {found}"
        return f"{wanted} together need {self.needed} different ones, {found}"

    def _reasons(self) -> str:
        told = []
        for one in self.blockers[:3]:
            holder = f" by {one.task!r} for {one.held_for:.3g} s" if one.task else ""
            told.append(f"{one.id} is {'held' if one.task else words.state(one.status)}{holder}")
        more = self.blocked - len(told)
        misses = [f"{miss.id} has {', '.join(miss.lacks)}" for part in self._failing() for miss in part.nearest[:2]]
        told += [f"{more} more"] if more > 0 and told else []
        return f"{'; '.join([*told, *misses])}." if told or misses else ""

    def _failing(self) -> list[Part]:
        if self.tier is not Tier.IMPOSSIBLE:
            return []
        unmet = {str(one) for one in self.unmet}
        return [one for one in self.parts if str(one.requirement) in unmet]

    def _queue(self) -> str:
        return f"It has waited {self.waited:.3g} s and is number {self.position} in line." if self.position else ""

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain data, `sentence` included."""
        return {"sentence": self.sentence, **{name: _plain(value) for name, value in asdict(self).items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, Tier) else value
