"""`Law`: how long something takes, where chance has a say."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Law:
    """A distribution of seconds: `fixed`, `uniform`, or `exponential`, as gaps between independent arrivals are.

    Attributes:
        name: Which of them.
        low: The shortest time of a uniform one, else the mean.
        high: The longest time of a uniform one, else the mean.
    """

    name: str
    low: float
    high: float

    @classmethod
    def fixed(cls, seconds: float) -> Law:
        """Return the law of what always takes as long."""
        return cls("fixed", seconds, seconds)

    @classmethod
    def exponential(cls, mean: float) -> Law:
        """Return the law of what ends at any moment with the same chance."""
        return cls("exponential", mean, mean)

    @classmethod
    def uniform(cls, low: float, high: float) -> Law:
        """Return the law by which all times between two are as likely."""
        return cls("uniform", low, high)

    @property
    def mean(self) -> float:
        """The mean, in seconds."""
        return (self.low + self.high) / 2

    def draw(self, chance: random.Random) -> float:
        """Return a time, in seconds."""
        if self.name == "exponential":
            return chance.expovariate(1 / self.low)
        return self.low if self.name == "fixed" else chance.uniform(self.low, self.high)
