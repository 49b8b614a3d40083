"""The charts of the run: speed, memory against its budget, and what was learnt about batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plugin_survey.reporting.charts import Line, Show, timeline
from plugin_survey.reporting.overview import Sample
from plugin_survey.shown import human

LEAST = 3
"""Fewest moments that make a line."""


def run_charts(samples: Sequence[Sample]) -> list[str]:
    """Return a chart for each thing that was measured often enough to make a line."""
    budget = next((one.budget_bytes for one in reversed(samples) if one.budget_bytes), None)
    drawn = [
        _chart(samples, "memory", "Memory of all processes", lambda one: one.resident_bytes, human, budget),
        _chart(samples, "speed", "Bytes per second", lambda one: one.bytes_per_s, human),
        _chart(samples, "pace", "Files per second", lambda one: one.files_per_s, _number),
        _chart(samples, "batch", "Files in a batch", lambda one: one.batch, _number),
        _chart(samples, "item", "Memory an item is taken to need", lambda one: one.bytes_per_item, human),
    ]
    return [one for one in drawn if one]


def _chart(
    samples: Sequence[Sample],
    name: str,
    title: str,
    value: Callable[[Sample], float | None],
    show: Show,
    limit: float | None = None,
) -> str:
    points = [(one.seconds, found) for one in samples if (found := value(one)) is not None]
    if len(points) < LEAST:
        return ""
    seconds, values = zip(*points, strict=True)
    return timeline(f"chart-{name}", title, Line(seconds, values, limit), show, "budget")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
