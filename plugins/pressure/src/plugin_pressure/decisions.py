"""`Decisions`: the last things that were decided, each logged once."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque

from framework import get_logger
from plugin_pressure.levels import CRITICAL, NAMES
from plugin_pressure.records import Decision

SERIOUS = frozenset({"pause", "demote"})


class Decisions:
    """A bounded list. Thread-safe.

    Args:
        kept: How many are kept.
    """

    def __init__(self, kept: int) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Decision] = deque(maxlen=kept)
        self.rounds = 0
        """Cleanup rounds so far, without dry runs; and the bytes that they claimed and freed."""
        self.claimed = 0
        self.freed = 0

    def add(self, decision: Decision) -> Decision:
        """Keep and log a decision."""
        with self._lock:
            self._kept.append(decision)
            if decision.action in {"clean", "clean_aggressively"} and not decision.dry_run:
                self.rounds += 1
                self.claimed += decision.claimed
                self.freed += max(decision.freed, decision.group_freed)
        # below critical, others may well be who fills the machine, and this program can do nothing about it
        serious = decision.action in SERIOUS or (decision.level == NAMES[CRITICAL] and not decision.met)
        log = get_logger().warning if serious else get_logger().info
        fields = dataclasses.asdict(decision)
        del fields["when"]  # which the event has itself, as it has a level of its own
        log("pressure_decided", pressure=fields.pop("level"), **fields)
        return decision

    def all(self) -> tuple[Decision, ...]:
        """Return those that are kept, oldest first."""
        with self._lock:
            return tuple(self._kept)
