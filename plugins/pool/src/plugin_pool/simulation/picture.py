"""Draws how long tasks waited, as SVG: for all tasks and for each stream a curve for each strategy.

A curve says which part of the tasks waited longer than a time. Both axes are logarithmic, because what matters is the
few that wait long: the 99th percentile is where a curve crosses 1 %. Of a task that was not started it is known only
that it waits longer than it did, so the curve is that of Kaplan and Meier (1958): it counts up to there, and no
further. A curve that ends in a level line has tasks that waited longest and were not started at all.
Strategies under which all tasks waited the same have one curve.

Colours are of two sets, for light and for dark surroundings; each has a pattern of dashes as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from plugin_pool.simulation.outcome import ALL, Outcome, Tally

MOST_PANELS = 12
WIDTH, HEIGHT = 460, 300
"""Of a panel with its axes, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 30, 46
"""What the axes and the title of a panel take."""
MOST_TICKS = 8
LONGEST = 40
"""Characters of a name; longer ones are cut."""

LIGHT = ("#0072b2", "#c44e00", "#00805f", "#a03c78", "#7a5c00", "#5a4fcf", "#b00020", "#555555")
DARK = ("#56b4e9", "#ff8c42", "#2fd0a0", "#e79cc9", "#f0c948", "#a79bff", "#ff7b88", "#cccccc")
DASHES = ("", "7 3", "2 3", "9 3 2 3")

_STYLE = "@media (prefers-color-scheme: dark) {{ .paper {{ fill: #16181d }} .ink {{ fill: #e6e6e6 }} {lines} }}"
_LINES = ".rule { stroke: #3a3f47 } .frame { stroke: #9aa0a6 }"


class _Scale:
    """Which times and parts a panel shows."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        tallies = [one for outcome in outcomes for one in outcome.tallies]
        longest = max([max([*one.waits, *one.waiting], default=0.0) for one in tallies])
        self.low = math.floor(math.log10(min([one.service for one in tallies]))) - 2
        self.high = max(math.ceil(math.log10(longest)) if longest > 0 else 0, self.low + 2)
        most = max([outcome.total.arrived for outcome in outcomes])
        self.least = -min(max(math.floor(math.log10(max(most, 1))), 1), 4)

    def x(self, seconds: float) -> float:
        """Return where a time is."""
        power = math.log10(seconds) if seconds > 0 else -math.inf
        part = (power - self.low) / (self.high - self.low)
        return LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, part: float) -> float:
        """Return where a part of the tasks is, 0 being at the bottom."""
        power = math.log10(part) if part > 0 else -math.inf
        return TOP + min(power / self.least, 1.0) * (HEIGHT - TOP - BOTTOM)


def picture(outcomes: Sequence[Outcome], subtitle: str = "") -> str:
    """Return the picture as the text of an SVG file that needs nothing else.

    At most `MOST_PANELS` panels are drawn: one for all tasks, and the first streams.
    """
    names, outcomes = _told_apart(outcomes)
    panels = [ALL, *[one.name for one in outcomes[0].tallies]][:MOST_PANELS]
    panels = panels[:1] if len(panels) == 2 else panels
    columns = min(len(panels), 2)
    width = max(columns, 1) * WIDTH
    entries = list(_legend(names, width))
    head = 84 + 20 * entries[-1][1]
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    height = head + math.ceil(len(panels) / columns) * HEIGHT
    root.attrib |= {"viewBox": f"0 0 {width} {height}", "width": f"{width}", "height": f"{height}"}
    root.attrib["font-family"] = "system-ui, sans-serif"
    _head(root, subtitle, _percentiles(names, outcomes), (width, height))
    for number, (left, row, name) in enumerate(entries):
        _entry(root, number, left, 66 + 20 * row, name)
    scale = _Scale(outcomes)
    for number, name in enumerate(panels):
        place = f"translate({number % columns * WIDTH} {head + number // columns * HEIGHT})"
        _panel(SubElement(root, "g", transform=place), name, outcomes, scale)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _told_apart(outcomes: Sequence[Outcome]) -> tuple[list[str], list[Outcome]]:
    """Return the names of strategies and their outcome, once for all those under which the same happened."""
    found: list[tuple[list[str], Outcome]] = []
    for one in outcomes:
        for names, other in found:
            if other.tallies == one.tallies:
                names.append(_shown(one.strategy))
                break
        else:
            found.append(([_shown(one.strategy)], one))
    return [", ".join(names) for names, _ in found], [one for _, one in found]


def _percentiles(names: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    told = [f"{name}: {one.rows()[0]['p99'] or 0:.3g} s" for name, one in zip(names, outcomes, strict=True)]
    return f"99 of 100 tasks waited no longer than: {'; '.join(told)}."


def _head(root: Element, subtitle: str, told: str, size: tuple[int, int]) -> None:
    SubElement(root, "title").text = "How long tasks wait, by strategy"
    SubElement(root, "desc").text = told
    colours = [f".s{number} {{ stroke: {colour} }}" for number, colour in enumerate(DARK)]
    SubElement(root, "style").text = _STYLE.format(lines=" ".join([_LINES, *colours]))
    SubElement(root, "rect", {"class": "paper"}, width=f"{size[0]}", height=f"{size[1]}", fill="#ffffff")
    _text(root, 16, 28, "How long tasks wait, by strategy", size=18, weight="bold")
    _text(root, 16, 48, _shown(subtitle, 140), size=12)


def _legend(names: Sequence[str], width: int) -> Iterator[tuple[int, int, str]]:
    """Yield place, row and name of each entry; they flow like words."""
    left, row = 16, 0
    for name in [_shown(one, (width - 70) // 8) for one in names]:
        needed = 54 + 8 * len(name)
        if left > 16 and left + needed > width:
            left, row = 16, row + 1
        yield left, row, name
        left += needed


def _entry(root: Element, number: int, left: int, top: int, name: str) -> None:
    _line(root, number, f"M{left} {top - 4}h32")
    _text(root, left + 38, top, name, size=12)


def _panel(root: Element, name: str, outcomes: Sequence[Outcome], scale: _Scale) -> None:
    _text(root, LEFT, TOP - 10, "all tasks" if name == ALL else _shown(name), size=13, weight="bold")
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for power in range(scale.low, scale.high + 1, math.ceil((scale.high - scale.low) / MOST_TICKS)):
        x = scale.x(10.0**power)
        _rule(root, f"M{x:.1f} {TOP}V{bottom}")
        _text(root, x, bottom + 16, f"{10.0**power:g}", anchor="middle")
    for power in range(scale.least, 1):
        y = scale.y(10.0**power)
        _rule(root, f"M{LEFT} {y:.1f}H{right}")
        _text(root, LEFT - 6, y + 4, f"{100 * 10.0**power:g} %", anchor="end")
    frame = {"class": "frame", "d": f"M{LEFT} {TOP}V{bottom}H{right}", "fill": "none", "stroke": "#555555"}
    SubElement(root, "path", frame)
    _text(root, (LEFT + right) / 2, HEIGHT - 10, "wait, in seconds", anchor="middle", size=12)
    turned = SubElement(root, "g", transform=f"translate(14 {(TOP + bottom) / 2:g}) rotate(-90)")
    _text(turned, 0, 0, "tasks that wait longer", anchor="middle", size=12)
    for number, outcome in enumerate(outcomes):
        _line(root, number, _curve(outcome.total if name == ALL else outcome.of(name), scale))


def _curve(tally: Tally, scale: _Scale) -> str:
    """Return the path that falls where waits end: one step at most for each pixel."""
    path, before, shown = [f"M{LEFT} "], 2 * LEFT, f"{TOP}"
    for seconds, part in survival(tally.waits, tally.waiting):
        x = scale.x(seconds)
        if int(2 * x) != before:
            path.append(f"{shown}H{x:.1f}V")
            before = int(2 * x)
        shown = f"{scale.y(part):.1f}"
    return "".join([*path, shown])


def survival(ended: Sequence[float], going_on: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield for each wait, shortest first, the estimated part of all tasks that wait longer.

    Args:
        ended: How long tasks waited, in seconds.
        going_on: How long others have waited that still do.
    """
    waits = sorted([*[(one, 0) for one in ended], *[(one, 1) for one in going_on]])
    part = 1.0
    for number, (seconds, still) in enumerate(waits):
        if not still:
            left = len(waits) - number
            part = part * (left - 1) / left
        yield seconds, part


def _line(root: Element, number: int, path: str) -> None:
    attributes = {"class": f"s{number % len(DARK)}", "d": path, "fill": "none", "stroke-width": "2"}
    attributes["stroke"] = LIGHT[number % len(LIGHT)]
    if dash := DASHES[(number + number // len(LIGHT)) % len(DASHES)]:
        attributes["stroke-dasharray"] = dash
    SubElement(root, "path", attributes)


def _rule(root: Element, path: str) -> None:
    SubElement(root, "path", {"class": "rule", "d": path, "fill": "none", "stroke": "#dddddd"})


def _text(
    root: Element, x: float, y: float, text: str, *, anchor: str = "start", size: int = 11, weight: str = "normal"
) -> None:
    attributes = {"class": "ink", "x": f"{x:.1f}", "y": f"{y:.1f}", "fill": "#222222", "font-size": f"{size}"}
    if anchor != "start":
        attributes["text-anchor"] = anchor
    if weight != "normal":
        attributes["font-weight"] = weight
    SubElement(root, "text", attributes).text = text


def _shown(name: str, longest: int = LONGEST) -> str:
    """Return a name as far as there is room, without characters that XML cannot hold."""
    text = "".join([one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
