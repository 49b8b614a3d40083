"""The charts of what was found: types, sizes, duplicates."""

from __future__ import annotations

from collections.abc import Sequence

from plugin_survey.reporting.charts import Bar, bars, columns, share
from plugin_survey.reporting.overview import Overview, SizeCount, TypeCount
from plugin_survey.reporting.tables import least_text
from plugin_survey.shown import human

TYPES = 10
"""Most types in the chart; the others are one bar, unless it is one, which takes no more room by its name."""


def type_chart(types: Sequence[TypeCount]) -> str:
    """Return the bytes of each type, most first."""
    ordered = sorted(types, key=lambda one: (-one.bytes, one.name))
    shown, others = (ordered[:TYPES], ordered[TYPES:]) if len(ordered) > TYPES + 1 else (ordered, [])
    if others:
        label = f"{len(others):,} other types"
        shown.append(TypeCount(label, sum(one.files for one in others), sum(one.bytes for one in others)))
    rows = [Bar(one.name, one.bytes, f"{_files(one.files)} · {human(one.bytes)}") for one in shown]
    return bars("chart-types", "Bytes by type", rows)


def size_charts(sizes: Sequence[SizeCount]) -> list[str]:
    """Return how many files there are of each size, and how many bytes these are."""
    labels = [least_text(one.least) for one in sizes]
    files = [Bar(label, one.files, _files(one.files)) for label, one in zip(labels, sizes, strict=True)]
    held = [Bar(label, one.bytes, human(one.bytes)) for label, one in zip(labels, sizes, strict=True)]
    return [columns("chart-files", "Files by size", files), columns("chart-bytes", "Bytes by size", held)]


def duplicate_chart(overview: Overview) -> str:
    """Return how much of all bytes is there once, and how much again."""
    wasted = overview.wasted_bytes
    once = overview.totals.bytes - wasted
    share_of = wasted / overview.totals.bytes if overview.totals.bytes else 0
    return share(
        "chart-duplicates",
        "Bytes needed and wasted",
        Bar("Needed", once, human(once)),
        Bar("Wasted", wasted, f"{human(wasted)} ({share_of:.0%})"),
    )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
