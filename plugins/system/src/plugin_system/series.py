"""What the methods of `Metrics` return: one series each."""

from __future__ import annotations

from typing import Protocol


class Counter(Protocol):
    """A number that only rises."""

    value: float

    def add(self, value: float = 1) -> None:
        """Add a number; ValueError for one below 0."""


class Gauge(Protocol):
    """A number that may be anything at any time."""

    value: float | None

    def set(self, value: float) -> None:
        """Say what it is now; ValueError for one that is not finite."""


class Histogram(Protocol):
    """What is known of many values."""

    def record(self, value: float) -> None:
        """Take one more value; ValueError for one that is not finite."""
