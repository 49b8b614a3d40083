"""`Durations`: how long the stages of a survey took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Durations:
    """Seconds by stage; `fingerprint` is summed over workers, and stages overlap."""

    total: float = 0.0
    walk: float = 0.0
    fingerprint: float = 0.0
    inspect: float = 0.0
    catalogue: float = 0.0
    duplicates: float = 0.0
    near: float = 0.0
