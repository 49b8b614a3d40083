from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_survey.reporting.charts import HEAD, POINTS, Bar, Line, bars, columns, share, timeline
from plugin_survey.reporting.overview import TypeCount
from plugin_survey.reporting.summary_charts import TYPES, type_chart
from plugin_survey.shown import human

AMOUNTS = st.floats(0, 1e18)


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<figure>{drawing}</figure>")


def texts(drawing: str) -> list[str]:
    return [one.text or "" for one in parsed(drawing).iter("text")]


def points(drawing: str) -> list[tuple[float, float]]:
    (line,) = parsed(drawing).iter("polyline")
    return [(float(x), float(y)) for x, _, y in (pair.partition(",") for pair in line.attrib["points"].split())]


def widths(drawing: str, css: str) -> Iterator[float]:
    for one in parsed(drawing).iter("rect"):
        if one.attrib["class"] == css:
            yield float(one.attrib["width"].rstrip("%"))


@pytest.mark.parametrize("draw", [bars, columns])
@given(values=st.lists(AMOUNTS, max_size=20))
def test_bars_say_in_words_what_they_show(draw: Callable[..., str], values: list[float]) -> None:
    rows = [Bar(f"<b>&\x1b{at}", value, f"{value} <i>") for at, value in enumerate(values)]
    drawing = parsed(draw("c", "A <title>", rows))
    (svg,) = drawing.iter("svg")
    named = {one.attrib["id"]: one.text for one in svg if "id" in one.attrib}
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-labelledby"].split() == list(named) == ["c-title", "c-text"]
    assert named["c-title"] == "A <title>"
    for row in rows:
        assert row.text in (named["c-text"] or "")


@given(st.lists(AMOUNTS, min_size=1, max_size=20))
def test_lying_bars_are_as_long_as_their_values(values: list[float]) -> None:
    most = max(values) or 1
    drawn = widths(bars("c", "t", [Bar("", value, "") for value in values]), "bar")
    assert list(drawn) == pytest.approx([100 * value / most for value in values], abs=0.01)


@pytest.mark.parametrize(("at", "anchor"), [(0, "start"), (6, "middle"), (12, "end")])
def test_the_figure_of_a_standing_bar_is_flush_with_it_towards_an_end(at: int, anchor: str) -> None:
    drawing = columns("c", "t", [Bar("", one == at, f"{one}") for one in range(13)])
    (text,) = (one for one in parsed(drawing).iter("text") if one.attrib["class"] == "figure")
    (bar,) = (one for one in parsed(drawing).iter("rect") if float(one.attrib["height"]) > 1.5)
    left, width = (float(bar.attrib[name].rstrip("%")) for name in ("x", "width"))
    assert text.attrib["text-anchor"] == anchor
    beside = {"start": left, "middle": left + width / 2, "end": left + width}[anchor]
    assert float(text.attrib["x"].rstrip("%")) == pytest.approx(beside, abs=0.02)


def test_types_are_summed_up_from_two_on() -> None:
    types = [TypeCount(f"type {at}", 1, 100 - at) for at in range(TYPES + 2)]
    assert "2 other types" in texts(type_chart(types))
    assert f"type {TYPES}" in texts(type_chart(types[:-1]))


def test_a_share_is_divided_as_it_should_be() -> None:
    drawing = share("c", "t", Bar("Kept", 3, "3 B"), Bar("Lost", 1, "1 B"))
    assert list(widths(drawing, "bar")) == [75]
    assert list(widths(drawing, "other")) == [25]
    assert texts(drawing) == ["Kept: 3 B", "Lost: 1 B"]
    assert list(widths(share("c", "t", Bar("", 0, ""), Bar("", 0, "")), "bar")) == [0]


@given(st.lists(st.tuples(st.floats(0, 1e6), AMOUNTS), min_size=1, max_size=1500), st.none() | st.floats(1, 1e15))
def test_a_line_loses_no_peak_and_stays_inside(samples: list[tuple[float, float]], limit: float | None) -> None:
    seconds, values = zip(*sorted(samples), strict=True)
    drawn = points(timeline("c", "t", Line(seconds, values, limit), human))
    assert len(drawn) <= POINTS
    assert all(0 <= x <= 1000 and -0.01 <= y <= 100 for x, y in drawn)
    if max(values) >= (limit or 0) and max(values) > 1:
        assert min(y for _, y in drawn) < 51  # the scale ends within twice the highest


def test_the_limit_is_drawn_where_it_is_and_named() -> None:
    drawing = timeline("c", "Memory", Line((0, 1, 2), (10 << 20, 60 << 20, 20 << 20), 64 << 20), human, "budget")
    (limit,) = parsed(drawing).iter("line")
    assert float(limit.attrib["y1"]) == HEAD
    assert "budget 64 MiB" in texts(drawing)
    assert "32 MiB" in texts(drawing)
    assert "At most 60.0 MiB, at the end 20.0 MiB, over 2.00 s. The budget is 64.0 MiB." in drawing
    assert points(drawing)[1] == pytest.approx((500, 100 - 60 / 64 * 100), abs=0.01)


def test_a_limit_above_everything_sets_the_scale() -> None:
    drawing = timeline("c", "t", Line((0, 1), (1, 2), 4 << 10), human)
    (limit,) = parsed(drawing).iter("line")
    assert float(limit.attrib["y1"]) == HEAD
    assert points(drawing)[0][1] == pytest.approx(100, abs=0.1)
