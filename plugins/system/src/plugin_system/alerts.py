"""`Alert`: is raised when a metric stays beyond a threshold, and cleared when it came back far enough."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from framework import get_logger
from framework.errors import InvalidRequestError, did_you_mean

CLEAR, PENDING, RAISED, NO_DATA = "clear", "pending", "raised", "no data"
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}
HYSTERESIS = 0.05
"""How far a metric must come back where the alert does not say: this part of the threshold."""

Condition = Callable[[], bool]
Lookup = Callable[[str], float | None]
Event = Callable[[], None]


class Alert:
    """One alert and its state: `clear`, `pending` (beyond, but not long enough), `raised`, or `no data`.

    It is looked at each time metrics are collected, so a metric that comes back in between is not noticed. Not
    thread-safe; `Alerts` is.

    Args:
        name: Its name.
        metric: Which metric it watches; none where there is a condition, or where the application raises it itself.
        above: It is too much beyond this.
        below: It is too little below this.
        clear: Where it is good again; by default a twentieth (`HYSTERESIS`) back from the threshold.
        for_seconds: How long it must stay beyond the threshold before the alert is raised.
        condition: Asked in place of a metric: true is beyond.
        level: Of the event: `info`, `warning`, `error` or `critical`.
        message: What people are told.

    Raises:
        InvalidRequestError: This is no alert that could be watched; the message names what is wrong.
    """

    def __init__(
        self,
        name: str,
        *,
        metric: str = "",
        above: float | None = None,
        below: float | None = None,
        clear: float | None = None,
        for_seconds: float = 0.0,
        condition: Condition | None = None,
        level: str = "warning",
        message: str = "",
    ) -> None:
        self.name, self.metric, self.above, self.below = name, metric, above, below
        self.clear, self.for_seconds, self.condition = clear, for_seconds, condition
        self.level, self.message = level, message
        self._check()
        threshold = self.threshold
        if clear is None and threshold is not None:
            back = HYSTERESIS * abs(threshold)
            self.clear = threshold - back if above is not None else threshold + back
        self.state = CLEAR
        self.value: float | None = None
        """What the metric was when it was looked at last."""
        self.since: float | None = None
        """When it was raised, in seconds since 1970; None unless it is."""
        self.times = 0
        """How often it was raised."""
        self.failure = ""
        """Why its condition could not be asked."""
        self._beyond_since: float | None = None

    @property
    def threshold(self) -> float | None:
        """The one of `above` and `below` that is set."""
        return self.above if self.above is not None else self.below

    def ask(self) -> tuple[bool | None, str]:
        """Return what the condition says, None without an answer, and why it could not be asked.

        It is the application's: it may hang, or use the service, so nobody asks it who holds a lock.
        """
        if self.condition is None:
            return None, ""
        try:
            return bool(self.condition()), ""
        except Exception as error:  # noqa: BLE001 - it must not stop the others
            return None, repr(error)

    def look(self, lookup: Lookup, now: float, asked: tuple[bool | None, str] | None = None) -> list[Event]:
        """Look at the metric or condition at a time, in seconds, and raise or clear the alert if that is due.

        Args:
            lookup: Returns what a metric was last.
            now: The time.
            asked: What `ask` returned; it is asked now when None.

        Returns:
            What is to be called to log what happened, if anything did.
        """
        beyond, back, events = self._judge(lookup, asked or self.ask())
        return events + self._move(now, beyond=beyond, back=back)

    def _move(self, now: float, *, beyond: bool, back: bool) -> list[Event]:
        if self.state == RAISED:
            return self.end() if back else []
        if beyond:
            if self._beyond_since is None:
                self._beyond_since = now
            if now - self._beyond_since >= self.for_seconds:
                return self.begin()
            self.state = PENDING
        else:
            self._beyond_since = None
            if self.metric or self.condition is not None:
                self.state = CLEAR if self.value is not None else NO_DATA
        return []

    def begin(self, message: str = "", level: str = "") -> list[Event]:
        """Raise it; one that is raised already only takes the message and level."""
        self.message, self.level = message or self.message, level or self.level
        if self.state == RAISED:
            return []
        self.state, self.since, self.times = RAISED, time.time(), self.times + 1
        return [self._event("alert_raised", LEVELS[self.level])]

    def end(self) -> list[Event]:
        """Clear it; one that is not raised stays as it is."""
        if self.state != RAISED:
            return []
        lasted = max(0.0, time.time() - (self.since or 0.0))
        self.state, self.since, self._beyond_since = CLEAR, None, None
        return [self._event("alert_cleared", logging.INFO, seconds=round(lasted, 3))]

    def row(self) -> dict[str, Any]:
        """Return what there is to know of it."""
        return {
            "alert": self.name,
            "state": self.state,
            "level": self.level,
            "metric": self.metric,
            "value": self.value,
            "threshold": self.threshold,
            "clear": self.clear,
            "since": self.since,
            "times": self.times,
            "message": self.failure or self.message,
        }

    def _judge(self, lookup: Lookup, asked: tuple[bool | None, str]) -> tuple[bool, bool, list[Event]]:
        """Return whether it is beyond the threshold, whether it came back (neither without data), and what to log."""
        if self.condition is not None:
            return self._take(*asked)
        found = lookup(self.metric) if self.metric else None
        if not isinstance(found, int | float) or math.isnan(found):
            found = None  # a source of the application may report anything
        self.value = found
        if found is None or self.clear is None:
            return False, False, []
        if self.above is not None:
            return found > self.above, found <= self.clear, []
        return self.below is not None and found < self.below, found >= self.clear, []

    def _take(self, beyond: bool | None, failure: str) -> tuple[bool, bool, list[Event]]:
        events: list[Event] = []
        if failure and not self.failure:
            events.append(lambda: get_logger().error("alert_failed", alert=self.name, error=failure))
        self.failure = f"its condition fails: {failure}" if failure else ""
        self.value = None if beyond is None else float(beyond)
        return beyond is True, beyond is False, events

    def _event(self, event: str, level: int, **more: object) -> Event:
        fields: dict[str, object] = {
            "alert": self.name,
            "metric": self.metric,
            "value": self.value,
            "threshold": self.threshold,
        }
        fields |= {"alert_level": self.level, "message": self.message, **more}
        return lambda: get_logger().log(level, event, **fields)

    def _check(self) -> None:
        if not self.name.strip() or len(self.name) > 100:
            raise self._refused(f"has the name {self.name[:120]!r}", "a text of 1 to 100 characters")
        if self.level not in LEVELS:
            raise self._refused(
                f"has the level {self.level!r}", ", ".join(LEVELS), did_you_mean(str(self.level), LEVELS)
            )
        given = {"above": self.above, "below": self.below, "clear": self.clear, "for_seconds": self.for_seconds}
        for key, value in given.items():
            if value is not None and not _is_number(value):
                raise self._refused(f"has {key} = {value!r}", "finite numbers")
        if self.for_seconds < 0:
            raise self._refused(f"has for_seconds = {self.for_seconds!r}", "0 and more")
        self._check_watched()

    def _check_watched(self) -> None:
        if self.metric and self.condition is not None:
            raise self._refused("has a metric and a condition", "one of them")
        if bool(self.metric) != (self.threshold is not None) or None not in (self.above, self.below):
            found = [key for key in ("metric", "above", "below") if getattr(self, key) not in (None, "")]
            raise self._refused(f"has {' and '.join(found)}", "a metric and one of above and below, or neither")
        if self.clear is None or self.threshold is None:
            if self.clear is not None:
                raise self._refused("has clear without a threshold", "a metric and one of above and below with it")
        elif self.clear > self.threshold if self.above is not None else self.clear < self.threshold:
            side, word = ("above", "at most") if self.above is not None else ("below", "at least")
            raise self._refused(f"is raised {side} {self.threshold} and cleared at {self.clear}",
                                f"for clear {word} {self.threshold}")  # fmt: skip

    def _refused(self, found: str, allowed: str, remedy: str = "") -> InvalidRequestError:
        return InvalidRequestError(
            f"The alert {self.name[:100]!r} {found}; allowed: {allowed}.", remedy, resource=self.name[:100]
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def from_mapping(name: str, definition: Mapping[str, Any]) -> Alert:
    """Return the alert for a definition with the keys that `Alert` takes.

    Raises:
        InvalidRequestError: It has other keys, or defines no alert.
    """
    known = ("metric", "above", "below", "clear", "for_seconds", "condition", "level", "message")
    for key in definition:
        if key not in known:
            raise InvalidRequestError(
                f"The alert {name!r} has the unknown key {key!r}; allowed: {', '.join(known)}.",
                did_you_mean(str(key), known),
                resource=name,
            )
    return Alert(name, **definition)
