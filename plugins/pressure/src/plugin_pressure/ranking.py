"""`Ranking`: who is asked first to give something back, by declared cost and by what asking really brought."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

TRUTH = 0.01
"""Share of what is claimed that must be measured as freed."""
STRIKES = 3
"""Answers in a row that claim and do not free, or fail, after which a participant is demoted."""
_WEIGHT = 0.3
"""Of the newest answer in the average."""


class Standing(NamedTuple):
    """What is known of one participant. Bytes are of all its answers."""

    name: str
    asked: int = 0
    claimed: int = 0
    freed: int = 0
    bytes_per_ms: float = math.inf
    """Measured as freed in each millisecond, a moving average; infinite before the first answer: everybody gets one."""
    strikes: int = 0
    fault: str = ""
    """What the last answer was counted against it for."""

    @property
    def demoted(self) -> bool:
        """Whether it is asked only after all others."""
        return self.strikes >= STRIKES


class Ranking:
    """Learns from answers, and puts participants in order."""

    def __init__(self) -> None:
        self._known: dict[str, Standing] = {}

    @property
    def standings(self) -> Mapping[str, Standing]:
        """What is known, by the participant's name."""
        return dict(self._known)

    def order(self, costs: Iterable[tuple[str, object]]) -> list[str]:
        """Return names in the order of asking: demoted ones last, then the cheap before the dear, then by yield.

        Args:
            costs: Names, each with the cost that is declared, which may be anything.
        """
        return [name for _, name in sorted((self._key(name, cost), name) for name, cost in costs)]

    def learn(self, name: str, claimed: int, freed: int, seconds: float, error: str = "") -> Standing:
        """Take an answer, and return what is known now."""
        known = self._known.get(name) or Standing(name)
        rate = freed / max(seconds * 1000, 1e-3)
        if math.isfinite(known.bytes_per_ms):
            rate = _WEIGHT * rate + (1 - _WEIGHT) * known.bytes_per_ms
        fault = error
        if not error and freed < TRUTH * claimed:
            fault = f"claimed {claimed} bytes, of which {freed} were freed"
        strikes = known.strikes + 1 if fault else 0
        made = self._known[name] = Standing(
            name, known.asked + 1, known.claimed + claimed, known.freed + freed, rate, strikes, fault
        )
        return made

    def forget(self, present: Iterable[str]) -> None:
        """Forget those who do not take part any more."""
        kept = set(present)
        self._known = {name: one for name, one in self._known.items() if name in kept}

    def _key(self, name: str, cost: object) -> tuple[bool, float, float]:
        known = self._known.get(name) or Standing(name)
        return known.demoted, _cost(cost), -known.bytes_per_ms


def _cost(declared: object) -> float:
    """Return a declared cost as a number; what is none counts as the usual one."""
    usable = isinstance(declared, (int, float)) and not isinstance(declared, bool) and not math.isnan(declared)
    return float(declared) if usable else 1.0  # type: ignore[arg-type]  # a number, as just asked
