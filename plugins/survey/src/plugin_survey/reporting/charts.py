"""Charts as a caption and inline SVG: no script, no style of their own, readable at every width.

Positions across are percentages and those down are pixels, so that a chart takes the width there is and its text keeps
its size; lines, which SVG does not let have percentages, are drawn in a nested drawing that stretches. Colours are
classes of the page's style sheet. A screen reader gets title and description, everybody a table beside the chart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import NamedTuple

from plugin_survey.shown import human, lasting, visible

ROW = 40
PLOT = 132
HEAD = 20
FLOOR = HEAD + PLOT
FOOT = 22
POINTS = 400
"""Most points of a line; of more, the highest in each stretch is drawn, so that no peak is lost."""
TICKS = 3
"""Of so many standing bars one has its label below it, so that labels do not meet on a phone."""
MIDST = 0.25
"""The part of the width, from either end, where a figure would not stay inside if it stood in the middle of its bar."""
LABELS = 34
"""Most characters of a label."""

Show = Callable[[float], str]


class Bar(NamedTuple):
    """A label, a value, and how the value is written."""

    label: str
    value: float
    text: str


class Line(NamedTuple):
    """Values over time, in the order of time; `limit` is drawn as a line across."""

    seconds: Sequence[float]
    values: Sequence[float]
    limit: float | None = None


def bars(name: str, title: str, rows: Sequence[Bar]) -> str:
    """Return lying bars, one below the other, each with its label and its figure above it."""
    most = max((row.value for row in rows), default=0) or 1
    parts = []
    for index, row in enumerate(rows):
        top = index * ROW
        parts += [
            _text(row.label, 0, y=top + 14),
            _text(row.text, 1, y=top + 14, css="figure"),
            _lying("track", 1, top + 21),
            _lying("bar", row.value / most, top + 21),
        ]
    return _drawing(name, title, _described(rows), len(rows) * ROW - 8, parts)


def columns(name: str, title: str, rows: Sequence[Bar]) -> str:
    """Return standing bars side by side: an order from left to right that means something."""
    most = max((row.value for row in rows), default=0) or 1
    highest = max(range(len(rows)), key=lambda index: rows[index].value, default=0)
    parts = [_across(FLOOR, "axis")]
    for index, row in enumerate(rows):
        left, middle = (index + 0.1) / len(rows), (index + 0.5) / len(rows)
        height = max(row.value / most * PLOT, 1.5 if row.value else 0)
        bar = _tag(
            "rect", css="bar", x=_percent(left), y=FLOOR - height, width=_percent(0.8 / len(rows)), height=height, rx=2
        )
        parts.append(f"<g>{_tag('title', f'{visible(row.label)}: {row.text}')}{bar}</g>")
        if index % TICKS == 0 or len(rows) <= 2 * TICKS:
            parts.append(_text(row.label, middle if index else 0, y=FLOOR + 16, css="tick"))
        if index == highest:
            parts.append(_text(row.text, *_above(left, 0.8 / len(rows)), y=FLOOR - height - 6, css="figure"))
    return _drawing(name, title, _described(rows), FLOOR + FOOT, parts)


def share(name: str, title: str, one: Bar, other: Bar) -> str:
    """Return a bar that is divided between two."""
    part = one.value / ((one.value + other.value) or 1)
    parts = [
        _tag("rect", css="bar", x=0, y=0, width=_percent(part), height=12, rx=3),
        _tag("rect", css="other", x=_percent(part), y=0, width=_percent(1 - part), height=12, rx=3),
        _text(f"{one.label}: {one.text}", 0, y=32),
        _text(f"{other.label}: {other.text}", 1, y=32),
    ]
    return _drawing(name, title, _described([one, other]), 38, parts)


def timeline(name: str, title: str, line: Line, show: Show, limit: str = "limit") -> str:
    """Return values over the run, from nothing up, with the limit as a dashed line if there is one.

    Args:
        name: Identifies the chart in the page.
        title: What it shows.
        line: The values; at least one.
        show: Writes a value.
        limit: What the limit is called.
    """
    end = max(line.seconds[-1], 1e-9)
    top = _rounded(max(*line.values, line.limit or 0, 1e-9), binary=show is human)
    parts = [_across(_level(part), "grid" if part else "axis") for part in (0, 0.5, 1)]
    parts.append(_curve([(x / end * 1000, 100 - y / top * 100) for x, y in _thinned(line)]))
    parts += [_text(_short(show(top * part)), 0, y=_level(part) - 5, css="tick") for part in (0.5, 1)]
    parts += [_text(lasting(end * part) if part else "0 s", part, y=FLOOR + 16, css="tick") for part in (0, 0.5, 1)]
    description = f"At most {show(max(line.values))}, at the end {show(line.values[-1])}, over {lasting(end)}."
    if line.limit:
        level = round(_level(line.limit / top), 1)
        parts.append(_tag("line", css="limit", x1=0, x2="100%", y1=level, y2=level))
        parts.append(_text(f"{limit} {_short(show(line.limit))}", 1, y=level - 5, css="limit"))
        description += f" The {limit} is {show(line.limit)}."
    return _drawing(name, title, description, FLOOR + FOOT, parts)


def _lying(css: str, part: float, y: float) -> str:
    return _tag("rect", css=css, x=0, y=y, width=_percent(part), height=6, rx=3)


def _curve(points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.2f}" for x, y in points)
    area = f"{points[0][0]:.1f},100 {path} {points[-1][0]:.1f},100"
    shapes = _tag("polygon", css="area", points=area) + _tag("polyline", css="line", points=path)
    return (
        f'<svg x="0" y="{HEAD}" width="100%" height="{PLOT}" viewBox="0 0 1000 100" preserveAspectRatio="none"'
        f' overflow="visible">{shapes}</svg>'
    )


def _drawing(name: str, title: str, description: str, height: float, parts: Iterable[str]) -> str:
    return (
        f'{_tag("figcaption", title)}<svg class="chart" role="img" width="100%" height="{height}"'
        f' aria-labelledby="{name}-title {name}-text">{_tag("title", title, id=f"{name}-title")}'
        f"{_tag('desc', description, id=f'{name}-text')}{''.join(parts)}</svg>"
    )


def _tag(element: str, content: str = "", css: str = "", **attributes: object) -> str:
    """Write an element; what is in it, and in its attributes, is escaped."""
    if css:
        attributes["class"] = css
    written = "".join(
        f' {name.replace("_", "-")}="{round(value, 1) if isinstance(value, float) else escape(str(value))}"'
        for name, value in attributes.items()
    )
    return f"<{element}{written}>{escape(content)}</{element}>" if content else f"<{element}{written}/>"


def _above(left: float, width: float) -> tuple[float, str]:
    """Return where the figure of a standing bar goes, and by what: flush with it towards an end of the chart."""
    middle = left + width / 2
    if middle < MIDST:
        return left, "start"
    return (left + width, "end") if middle > 1 - MIDST else (middle, "middle")


def _text(text: str, across: float, anchor: str = "", *, y: float, css: str = "") -> str:
    """Write a text at a part of the width, so that it stays inside at both ends; short ones need no anchor."""
    shown = visible(text)
    shown = shown if len(shown) <= LABELS else f"{shown[: LABELS - 1]}…"
    anchor = anchor or ("start" if across < 0.03 else "end" if across > 0.97 else "middle")
    return _tag("text", shown, css=css, x=_percent(across), y=y, text_anchor=anchor)


def _across(y: float, css: str) -> str:
    return _tag("rect", css=css, x=0, y=y, width="100%", height=1)


def _described(rows: Iterable[Bar]) -> str:
    return "; ".join(f"{visible(row.label)}: {row.text}" for row in rows)


def _thinned(line: Line) -> list[tuple[float, float]]:
    points = list(zip(line.seconds, line.values, strict=True))
    size = -(-len(points) // POINTS)
    return [max(points[at : at + size], key=lambda point: point[1]) for at in range(0, len(points), size)]


def _rounded(value: float, *, binary: bool) -> float:
    """Return the next round number from a value on: a power of two for bytes, else 1, 2 or 5 times one of ten."""
    if binary:
        power = 1.0
        while power < value:
            power *= 2
        return power
    unit = 1.0
    while unit * 10 < value:
        unit *= 10
    return next(unit * step for step in (1, 2, 5, 10) if unit * step >= value)


def _level(part: float) -> float:
    return HEAD + PLOT * (1 - part)


def _short(text: str) -> str:
    return text.replace(".0 ", " ")


def _percent(part: float) -> str:
    return f"{part * 100:.2f}%"
