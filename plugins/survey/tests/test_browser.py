"""The page in a real browser: what it looks like to eyes, fingers and keys."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from plugin_survey.reporting.overview import Overview, SizeCount
from plugin_survey.reporting.page import page as render
from plugin_survey.shown import shown

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--no-sandbox",  # the tests may run as root, and open nothing but their own file
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (1280, 360)
LOOKS = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
CONTRAST = 4.5
"""Least contrast of text (WCAG 2.2, 1.4.3, level AA)."""

pytestmark = pytest.mark.browser

Browser: TypeAlias = Any  # playwright need not be installed where types are checked
Page: TypeAlias = Any
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        driver: Any = importlib.import_module("playwright.sync_api")
    except ImportError:
        pytest.skip("playwright is not installed (dependency group `browser`)")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    with driver.sync_playwright() as playwright:
        if program is None and not os.path.exists(playwright.chromium.executable_path):
            pytest.skip("there is no Chromium (Debian package chromium, or `playwright install chromium`)")
        started = playwright.chromium.launch(executable_path=program, args=list(SWITCHES), timeout=60_000)
        try:
            yield started
        finally:
            started.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the page of an overview; what the browser complains of, or asks a network for, fails the test."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def open_page(overview: Overview, **options: Any) -> Page:
        file = tmp_path / "report.html"
        file.write_text(render(overview), encoding="utf-8")
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: complaints.extend({request.url} - {file.as_uri()}))
        page.goto(file.as_uri(), timeout=60_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def opened(width: int, scheme: str = "light") -> dict[str, Any]:
    return {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_fits_and_obeys_no_name(open_page: Open, everything: Overview, width: int, scheme: str) -> None:
    page = open_page(everything, **opened(width, scheme))
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.title().startswith("Survey of /</script>")
    assert page.locator("img, iframe, form").count() == 0
    # nothing of a table is cut off or must be scrolled for
    wide = (
        "Array.from(document.querySelectorAll('.files')).filter((one) => one.scrollWidth > one.parentNode.clientWidth)"
    )
    assert page.evaluate(f"{wide}.map((one) => one.id)") == []
    assert page.locator("#damaged-files tbody .path").all_inner_texts() == [
        shown(one.path) for one in everything.damaged
    ]


@pytest.mark.parametrize("highest", [0, 13], ids=["first", "last"])
def test_no_text_of_a_chart_leaves_a_phone(open_page: Open, everything: Overview, highest: int) -> None:
    sizes = [SizeCount(4**at, 1_234_567 if at == highest else 1, 5 << 40 if at == highest else 1) for at in range(14)]
    page = open_page(replace(everything, sizes=sizes), **opened(360))
    boxes = page.locator(".chart text").evaluate_all(
        "(all) => all.map((one) => [one, one.getBoundingClientRect()])"
        ".map(([one, box]) => [one.textContent, box.left, box.right])"
    )
    assert "1,234,567 files" in {text for text, _, _ in boxes}
    assert [box for box in boxes if box[1] < 0 or box[2] > 360] == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_text_stands_out_from_what_is_behind_it(
    open_page: Open, everything: Overview, width: int, scheme: str
) -> None:
    page = open_page(everything, **opened(width, scheme))
    found = page.evaluate(_CONTRASTS)
    assert len(found) > 100
    assert [one for one in found if one[0] < CONTRAST] == []


def test_keys_alone_reach_and_sort_a_table(open_page: Open, everything: Overview) -> None:
    page = open_page(everything, **opened(1280))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    header = page.locator("#duplicate-groups th").first
    for _ in range(200):
        page.keyboard.press("Tab")
        if header.locator("button").evaluate("(one) => one === document.activeElement"):
            break
    assert header.locator("button").evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    values = page.locator("#duplicate-groups tbody td:first-child")
    for order in ("descending", "ascending", "descending"):
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == order
        sizes = [float(one.get_attribute("data-value") or 0) for one in values.all()]
        assert sizes == sorted(sizes, reverse=order == "descending")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") is None
    assert page.locator("#duplicate-groups th").nth(1).get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_is_filtered_as_one_types(open_page: Open, everything: Overview, width: int) -> None:
    page = open_page(everything, **opened(width))
    page.locator("#duplicate-groups-filter").fill("latin XE9")
    rows = page.locator("#duplicate-groups tbody tr:visible")
    assert rows.count() == 1
    assert r"/latin-\xe9\xff" in rows.inner_text()
    assert page.locator("#duplicates [role=status]").inner_text() == f"1 of {len(everything.duplicates)} rows"
    page.locator("#duplicate-groups-filter").fill("")
    assert rows.count() == len(everything.duplicates)


@pytest.mark.parametrize("width", WIDTHS)
def test_without_a_script_everything_is_there(open_page: Open, everything: Overview, width: int) -> None:
    page = open_page(everything, **opened(width), java_script_enabled=False)
    assert page.locator("button, input").count() == 0
    assert page.locator("#duplicate-groups tbody tr").count() == len(everything.duplicates)
    page.locator("#duplicate-groups summary").first.click()
    assert page.locator("#duplicate-groups tbody tr").first.locator("li").count() == 2
    assert page.locator("svg[role=img]").first.is_visible()


def test_assistive_technology_gets_tables_and_pictures_with_names(open_page: Open, everything: Overview) -> None:
    for width in WIDTHS:
        page = open_page(everything, **opened(width))
        table = page.get_by_role("table", name="Groups of equal files")
        assert table.get_by_role("columnheader").count() == 4
        assert table.get_by_role("row").count() == 1 + len(everything.duplicates)
        picture = page.get_by_role("img", name="Memory of all processes")
        assert "The budget is 128.0 MiB." in (picture.locator("desc").text_content() or "")
        assert page.get_by_role("navigation", name="Sections").is_visible()


def test_on_paper_nothing_is_folded_and_nothing_is_for_fingers(open_page: Open, everything: Overview) -> None:
    page = open_page(everything, **opened(1280, "dark"))
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator("nav").is_visible()
    assert not page.get_by_label("Filter").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


# Contrast of each visible text with the nearest background behind it, by the formula of WCAG 2.2.
_CONTRASTS = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if ((numbers(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const unseen = !element.checkVisibility() || element.closest("desc, title, script");
    if (unseen || !texts.currentNode.data.trim()) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [more, less] = [light(ink), light(behind(element))].sort((a, b) => b - a);
    found.push([(more + 0.05) / (less + 0.05), texts.currentNode.data, ink, behind(element)]);
  }
  return found;
}"""
