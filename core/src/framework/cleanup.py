"""Asks the cleanup participants to give something back, and measures what really came back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from framework.protocols import CleanupParticipant
from framework.records import CleanupOutcome, CleanupReport
from framework.telemetry import get_logger


def request_cleanup(participants: Iterable[CleanupParticipant], *, aggressive: bool, reason: str) -> CleanupReport:
    """Ask every participant once; one that raises is reported and does not stop the rest."""
    before = resident_bytes()
    outcomes = tuple(_ask(one, aggressive, reason) for one in participants)
    report = CleanupReport(aggressive, reason, max(0, before - resident_bytes()), outcomes)
    get_logger().info(
        "cleanup_finished", reason=reason, aggressive=aggressive, freed_bytes=report.freed_bytes, asked=len(outcomes)
    )
    return report


def resident_bytes() -> int:
    """Return this process' resident set in bytes, or 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _ask(participant: CleanupParticipant, aggressive: bool, reason: str) -> CleanupOutcome:
    start = time.perf_counter()
    try:
        claimed, error = int(participant.cleanup(aggressive=aggressive, reason=reason)), ""
    except Exception as caught:  # noqa: BLE001 - one participant's failure must not stop the others
        claimed, error = 0, f"{type(caught).__name__}: {caught}"
        get_logger().error("participant_failed", participant=participant.name, error=error)
    return CleanupOutcome(participant.name, claimed, time.perf_counter() - start, error)
