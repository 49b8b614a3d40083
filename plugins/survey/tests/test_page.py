"""The page as a parser sees it; `test_browser.py` has what a browser makes of it."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.reporting.overview import Damage, FileFact, Overview, Sample, Totals
from plugin_survey.reporting.page import ROWS, page
from plugin_survey.reporting.tables import PATHS
from plugin_survey.shown import shown

VOID = {"meta", "link", "br", "input"}
OWN = 200_000
"""Bytes of a page beside its data."""
SCRIPT = 10_000
KEEPS = {"style", "script", "title"}


class Parsed(HTMLParser):
    """What is in a page: elements with their attributes, and the text of each that was asked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.paths: list[str] = []
        self.rows: Counter[str] = Counter()
        self.table = ""
        self.text: dict[str, str] = {}
        self.in_path = -1
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.elements.append((tag, found))
        if tag == "table":
            self.table = found["id"] or ""
        if tag == "tbody":
            self.rows[self.table] = 0
        if tag == "tr":
            self.rows[self.table] += 1
        if tag not in VOID:
            self.open.append(tag)
        if found.get("class") == "path":
            self.in_path = len(self.open)
            self.paths.append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if len(self.open) < self.in_path:
            self.in_path = -1

    def handle_data(self, data: str) -> None:
        if self.in_path > 0:
            self.paths[-1] += data
        if self.open and self.open[-1] in KEEPS:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def attributes(self, name: str) -> list[str]:
        return [value or "" for _, found in self.elements for key, value in found.items() if key == name]


def test_every_name_is_text_and_nothing_else(
    everything: Overview, nothing: Overview, hostile: tuple[bytes, ...]
) -> None:
    document = page(everything)
    parsed = Parsed(document)
    assert parsed.open == []
    assert {shown(name) for name in hostile} <= set(parsed.paths)
    assert Counter(tag for tag, _ in parsed.elements)["script"] == 1
    known = {tag for tag, _ in Parsed(page(replace(everything, roots=[b"/"]))).elements}
    assert {tag for tag, _ in parsed.elements} <= known | {"br"}
    assert known >= {tag for tag, _ in Parsed(page(nothing)).elements}
    assert not known & {"img", "iframe", "object", "form", "base"}
    assert not [name for name in (key for _, found in parsed.elements for key in found) if name.startswith("on")]
    assert parsed.attributes("style") == []
    assert "49" not in parsed.paths[3]  # a template in a name is not worked out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u200b\u202e]", document)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=3))
def test_any_name_can_be_read_back(names: list[bytes]) -> None:
    facts = [Damage(name, "type", "cause") for name in names]
    overview = Overview([b"/"], 0.0, 1.0, "0.1.0", "sha256", 1, Totals(), damaged=facts)
    assert Parsed(page(overview)).paths == ["/", *map(shown, names)]


def test_the_policy_allows_this_style_and_this_script_only(everything: Overview) -> None:
    parsed = Parsed(page(everything))
    (policy,) = (found["content"] or "" for _, found in parsed.elements if found.get("http-equiv"))

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"

    rules = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == digest(parsed.text["style"])
    assert rules["script-src"] == digest(parsed.text["script"])


def test_the_page_loads_nothing(everything: Overview) -> None:
    parsed = Parsed(page(everything))
    assert parsed.attributes("src") == []
    assert {one for one in parsed.attributes("href") if not one.startswith("#")} == {"data:,"}
    assert "url(" not in parsed.text["style"]
    assert "@import" not in parsed.text["style"]
    assert not re.search(r"fetch|XMLHttp|WebSocket|import\(|eval|innerHTML", parsed.text["script"])
    assert len(parsed.text["script"].encode()) <= SCRIPT


def test_links_lead_somewhere_and_identities_are_unique(everything: Overview, nothing: Overview) -> None:
    for overview in (everything, nothing):
        parsed = Parsed(page(overview))
        identities = parsed.attributes("id")
        assert [one for one, count in Counter(identities).items() if count > 1] == []
        targets = {one[1:] for one in parsed.attributes("href") if one.startswith("#")}
        labels = {word for one in parsed.attributes("aria-labelledby") for word in one.split()}
        assert targets | labels <= set(identities)


def test_sections_without_data_are_left_out(nothing: Overview, everything: Overview) -> None:
    def sections(overview: Overview) -> list[str | None]:
        return [found["id"] for tag, found in Parsed(page(overview)).elements if tag == "section"]

    assert sections(nothing) == ["settings"]
    everywhere = ["types", "sizes", "duplicates", "near-duplicates", "damaged", "problems", "ages", "run", "settings"]
    assert sections(everything) == everywhere
    run = ["samples", "stages", "recalled", "verdicts", "texts", "peak_bytes", "died_workers", "killed_workers"]
    unmeasured: dict[str, Any] = {name: getattr(nothing, name) for name in ("near_duplicates", *run)}
    fewer = replace(everything, **unmeasured)
    assert sections(fewer) == [one for one in everywhere if one not in {"run", "near-duplicates"}]


def test_charts_have_a_title_a_text_and_a_table(everything: Overview) -> None:
    parsed = Parsed(page(everything))
    drawings = [found for tag, found in parsed.elements if tag == "svg" and found.get("role") == "img"]
    assert len(drawings) == 1 + 2 + 1 + 5
    assert {"type-list", "size-list", "duplicate-groups", "samples"} <= parsed.rows.keys()


def test_what_was_not_measured_has_no_chart_and_no_column(everything: Overview) -> None:
    samples = [Sample(float(at), "walk", 1.0, 2.0) for at in range(5)]
    document = page(replace(everything, samples=samples))
    assert "Files per second" in document
    assert "Memory of all processes" not in document
    assert ">Batch<" not in document
    assert "Files per second" not in page(replace(everything, samples=samples[:2]))  # two moments make no line


def test_a_huge_result_is_bounded_and_says_how_much_there_is(everything: Overview) -> None:
    many = 5000
    group = DuplicateGroup(1, b"\x01" * 32, tuple((b"/%d" % at,) for at in range(100)))
    facts = [FileFact(b"/%d" % at, at, 0.0) for at in range(many)]
    document = page(
        replace(everything, duplicates=[group] * many, largest=facts, samples=list(everything.samples) * 100)
    )
    parsed = Parsed(document)
    assert parsed.rows["duplicate-groups"] == parsed.rows["largest"] == ROWS
    assert "1,000 of 5,000; the JSON and XLSX reports have all" in document
    assert f"and {100 - PATHS} that only" in document
    assert parsed.rows["samples"] <= 200
    assert len(document.encode()) < 4_000_000


def test_a_page_without_data_is_small(nothing: Overview) -> None:
    assert len(page(nothing).encode()) < OWN


def test_the_page_says_what_was_asked_and_what_was_killed(everything: Overview) -> None:
    document = page(everything)
    for text in (
        "100.0 MiB at most, of 128.0 MiB allowed",
        "11 names not read again",
        "9 ok, 2 damaged",
        "5 in the full-text index",
    ):
        assert text in document
    for text in ("Chaos", "3 killed on request", "128 MiB", r"*.tmp, \xff", "3 symlinks", "SHA256", "1 min 0 s"):
        assert text in document
    assert "pipes" not in document


def test_few_groups_that_hold_most_of_the_waste_are_worth_a_sentence(everything: Overview) -> None:
    groups = [DuplicateGroup(size, b"\x01" * 32, ((b"/a",), (b"/b",))) for size in (500, 400, *[10] * 10)]
    assert "2 of 12 groups hold 80% of what is wasted." in page(replace(everything, duplicates=groups))
    assert "of what is wasted." not in page(replace(everything, duplicates=groups[2:4]))


@pytest.mark.parametrize("module", ["jinja2", "xlsxwriter"])
def test_a_survey_without_such_a_report_does_not_import_its_library(module: str) -> None:
    code = f"import plugin_survey.command, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
