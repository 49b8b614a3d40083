"""`Options`: the settings of the plugin and their defaults, without pydantic, for which every program would wait."""

from __future__ import annotations

from typing import NamedTuple


class Options(NamedTuple):
    """The fields of `PressureSettings`, which says what they mean."""

    critical_threshold: float = 92.0
    warning_margin: float = 5.0
    aggressive_margin: float = 7.0
    critical_margin: float = 7.0
    participant_budget: float = 2.0
    cooldown: float = 10.0
    pause_deadline: float = 30.0
    fastest_fill: float = 6e9
    kept_decisions: int = 200
    dry_run: bool = False
