"""`Counter`, `Gauge` and `Histogram`: one series each, bound to its name and labels, cheap to write to."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram as Instrument


@dataclass(frozen=True, slots=True)
class HistogramSummary:
    """What is kept of a histogram's values, in the unit they were recorded in."""

    count: int
    total: float
    minimum: float
    maximum: float


class Counter:
    """A number that only rises. Thread-safe."""

    __slots__ = ("_lock", "_name", "value")

    def __init__(self, name: str, lock: threading.Lock) -> None:
        self._name = name
        self._lock = lock
        self.value: float = 0

    def add(self, value: float = 1) -> None:
        """Add a number, which must not be below 0.

        Raises:
            ValueError: It is below 0, or no number.
        """
        if not value >= 0:
            msg = f"counter {self._name!r} got {value}; a counter only rises, so the least allowed value is 0."
            raise ValueError(msg)
        with self._lock:
            self.value += value


class Gauge:
    """A number that may be anything at any time. Thread-safe."""

    __slots__ = ("_name", "value")

    def __init__(self, name: str) -> None:
        self._name = name
        self.value: float | None = None
        """The number set last; None before that."""

    def set(self, value: float) -> None:
        """Say what it is now.

        Raises:
            ValueError: It is not finite.
        """
        if not math.isfinite(value):
            msg = f"gauge {self._name!r} got {value}; allowed are finite numbers."
            raise ValueError(msg)
        self.value = value


class Histogram:
    """What is known of many values: how many, their sum, the least and the greatest. Thread-safe."""

    __slots__ = ("_instrument", "_labels", "_lock", "_name", "_values")

    def __init__(self, name: str, lock: threading.Lock, labels: Mapping[str, str], instrument: Instrument) -> None:
        self._name = name
        self._lock = lock
        self._labels = labels
        self._instrument = instrument
        self._values = (0, 0.0, math.inf, -math.inf)

    def record(self, value: float) -> None:
        """Take one more value.

        Raises:
            ValueError: It is not finite.
        """
        if not math.isfinite(value):
            msg = f"histogram {self._name!r} got {value}; allowed are finite numbers."
            raise ValueError(msg)
        with self._lock:
            count, total, least, most = self._values
            self._values = (
                count + 1,
                total + value,
                min(least, value),
                max(most, value),
            )
        self._instrument.record(value, self._labels)

    @property
    def summary(self) -> HistogramSummary | None:
        """What is known now; None before the first value."""
        found = HistogramSummary(*self._values)
        return found if found.count else None
