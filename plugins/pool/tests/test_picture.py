"""The picture of waits: valid, complete, and true to the figures."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_pool.simulation import Outcome, Tally, simulate
from plugin_pool.simulation.example import example
from plugin_pool.simulation.picture import DARK, DASHES, MOST_PANELS, picture, survival

SVG = "{http://www.w3.org/2000/svg}"


def outcome(strategy: str, *tallies: Tally) -> Outcome:
    return Outcome(strategy, 100.0, 2, tallies or (Tally("plain", 1.0, 4, 0, 4, [0.0, 0.5, 1.0, 4.0]),))


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # of our own making


def texts(root: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def curves(root: ElementTree.Element) -> list[ElementTree.Element]:
    """Return the lines of strategies, those of the legend first."""
    return [one for one in root.iter(f"{SVG}path") if re.fullmatch(r"s\d", one.get("class", ""))]


def points(path: str) -> list[tuple[float, float]]:
    (x, y), found = map(float, re.match(r"M([\d.]+) ([\d.]+)", path).groups()), []  # type: ignore[union-attr]
    for letter, value in re.findall(r"([HV])([\d.]+)", path):
        x, y = (float(value), y) if letter == "H" else (x, float(value))
        found.append((x, y))
    return found


def test_it_has_a_panel_for_all_tasks_and_each_stream_with_a_curve_for_each_strategy() -> None:
    outcomes = [simulate(example(), strategy=name, tasks=3000) for name in ("first_fit", "best_fit")]

    root = parsed(picture(outcomes, "3,000 tasks"))

    shown = texts(root)
    for text in ("How long tasks wait, by strategy", "3,000 tasks", "first_fit", "best_fit", "all tasks", "campaign"):
        assert shown.count(text) == 1
    assert shown.count("wait, in seconds") == shown.count("tasks that wait longer") == 6
    assert {"100 %", "10 %", "1 %", "0.1 %"} <= set(shown)
    assert len(curves(root)) == 2 + 6 * 2
    assert len({(one.get("stroke"), one.get("stroke-dasharray")) for one in curves(root)}) == 2
    assert root.get("role") == "img"
    told = root.findtext(f"{SVG}desc") or ""
    assert f"first_fit: {outcomes[0].rows()[0]['p99']:.3g} s" in told


def test_curves_fall_and_go_on_and_stay_inside() -> None:
    outcomes = [simulate(example(), strategy=name, tasks=3000) for name in ("first_fit", "best_fit")]
    root = parsed(picture(outcomes))

    for one in curves(root)[2:]:
        found = points(one.get("d", ""))
        assert len(found) >= 4
        for (x, y), (later, lower) in itertools.pairwise(found):
            assert 62 <= x <= later <= 442
            assert 30 <= y <= lower <= 254


def test_a_curve_is_where_its_figures_are() -> None:
    (_, curve) = curves(parsed(picture([outcome("one")])))
    # 0.01 to 10 s take 62 to 442, and 100 to 10 % take 30 to 254
    found = points(curve.get("d", ""))

    one_second, four_seconds, a_quarter = 62 + 380 * 2 / 3, 62 + 380 * 2.602 / 3, 30 + 224 * 0.602
    assert found[3] == pytest.approx((one_second, a_quarter), abs=0.06), "a quarter waits longer than 1 s"
    assert found[-1] == pytest.approx((four_seconds, 254.0), abs=0.06), "nobody waits longer than 4 s"


def test_a_stream_whose_tasks_were_never_started_has_a_level_line() -> None:
    starving = Tally("gang", 1.0, 3, 0, 0, [], [90.0, 60.0, 30.0])
    (_, curve) = curves(parsed(picture([outcome("one", starving)])))

    assert {y for _, y in points(curve.get("d", ""))} == {30.0}


def test_names_are_escaped_and_cut_and_characters_that_xml_cannot_hold_replaced() -> None:
    tallies = (Tally("a<b & 'c'", 1.0, 1, 0, 1, [0.1]), Tally("n" * 200, 1.0, 1, 0, 1, [0.1]))

    root = parsed(picture([outcome('</text><script>"&\x00\x1b\ud800', *tallies)]))

    shown = texts(root)
    assert "a<b & 'c'" in shown
    assert f"{'n' * 39}…" in shown
    assert '</text><script>"&\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}' in shown
    assert list(root.iter(f"{SVG}script")) == []


@pytest.mark.parametrize("count", [1, 9, 40])
def test_any_number_of_strategies_has_a_place_in_the_legend(count: int) -> None:
    waits = [[float(number)] for number in range(count)]
    outcomes = [outcome(f"strategy_number_{n}", Tally("plain", 1.0, 1, 0, 1, one)) for n, one in enumerate(waits)]
    root = parsed(picture(outcomes))
    _, _, width, height = map(float, root.get("viewBox", "").split())

    legend = [one for one in root.iter(f"{SVG}text") if (one.text or "").startswith("strategy_number_")]
    assert len(legend) == count
    assert len({(one.get("x"), one.get("y")) for one in legend}) == count
    assert all(float(one.get("x", "")) < width - 60 and float(one.get("y", "")) < height - 300 for one in legend)
    looks = {(one.get("stroke"), one.get("stroke-dasharray")) for one in curves(root)}
    assert len(looks) == min(count, len(DARK) * len(DASHES))


def test_strategies_that_make_no_difference_share_a_curve() -> None:
    other = outcome("other", Tally("plain", 1.0, 4, 0, 4, [0.0, 0.0, 0.0, 4.0]))

    root = parsed(picture([outcome("one"), other, outcome("two"), *[outcome("n" * 50) for _ in range(9)]]))

    assert len(curves(root)) == 2 + 2
    names = [one for one in texts(root) if one.startswith(("one", "other"))]
    assert names[0].startswith("one, two, nnn")
    assert names[0].endswith("…"), "as long as the picture is wide"
    assert names[1:] == ["other"]


def test_too_many_streams_are_not_all_drawn() -> None:
    tallies = [Tally(f"stream-{number}", 1.0, 1, 0, 1, [0.1]) for number in range(30)]

    shown = texts(parsed(picture([outcome("one", *tallies)])))
    assert len([one for one in shown if one.startswith("stream-")]) == MOST_PANELS - 1


@pytest.mark.parametrize("waits", [[], [0.0], [1e-12], [1e9]])
def test_strange_waits_are_drawn(waits: list[float]) -> None:
    root = parsed(picture([outcome("one", Tally("plain", 1e-6, len(waits), 0, 0, waits))]))

    assert "nan" not in ElementTree.tostring(root, encoding="unicode")


def test_it_knows_light_and_dark() -> None:
    text = picture([outcome("one")])

    assert "@media (prefers-color-scheme: dark) {" in text
    assert text.count("{") == text.count("}")
    assert all(colour in text for colour in DARK)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_survival_is_that_of_kaplan_and_meier() -> None:
    # by hand: of 6 at risk one ends at 1; one is censored at 2; of 4 one ends at 3; of 3 one at 5; two go on
    found = list(survival([1.0, 3.0, 5.0], [2.0, 6.0, 6.0]))

    parts = [5 / 6, 5 / 6, 5 / 6 * 3 / 4, 5 / 6 * 3 / 4 * 2 / 3, 5 / 6 * 3 / 4 * 2 / 3, 5 / 6 * 3 / 4 * 2 / 3]
    assert [time for time, _ in found] == [1.0, 2.0, 3.0, 5.0, 6.0, 6.0]
    assert [part for _, part in found] == pytest.approx(parts)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.lists(st.floats(0, 1e6)))
def test_survival_falls_and_counts_where_nobody_goes_on(ended: list[float], going_on: list[float]) -> None:
    parts = [part for _, part in survival(ended, going_on)]
    assert all(0 <= later <= part <= 1 for part, later in itertools.pairwise(parts))

    for seconds, part in dict(survival(ended, [])).items():
        assert part == pytest.approx(sum([one > seconds for one in ended]) / len(ended))
