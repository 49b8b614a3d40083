"""`page`: the report as one HTML file that needs nothing else: no network, no script to be readable.

Only this module knows Jinja, and it is imported only when such a report is written.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from plugin_survey.reporting import tables
from plugin_survey.reporting.overview import Overview
from plugin_survey.reporting.run_charts import run_charts
from plugin_survey.reporting.summary_charts import duplicate_chart, size_charts, type_chart
from plugin_survey.reporting.tables import Table
from plugin_survey.shown import dated, human, lasting, pieces, visible

ROWS = 1000
"""Most rows of a table; the other formats have all."""
MOMENTS = 200
"""Most rows of the table of the run over time."""

MOST_OF_IT = 0.8
"""The part of the waste that is worth saying in how few groups it is."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: what it is about, a sentence, charts, and tables; `folded` ones only repeat a chart."""

    name: str
    title: str
    note: str = ""
    charts: list[Markup] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    folded: list[Table] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0


def page(overview: Overview, *, most: int = ROWS) -> str:
    """Return the report as an HTML document.

    Args:
        overview: The survey.
        most: Most rows of a table.
    """
    style, script = _resource("page.css"), _resource("page.js")
    sections = [one for one in _sections(overview, most) if one.charts or one.tables or one.facts]
    return (
        _environment()
        .get_template("page.html")
        .render(
            roots=overview.roots,
            started=dated(overview.started_at),
            took=lasting(overview.seconds),
            rate=f"{overview.totals.names / overview.seconds:,.0f} files/s" if overview.seconds else "",
            version=overview.version,
            figures=_figures(overview),
            sections=sections,
            targets={one.name for one in sections},
            style=Markup(style),  # noqa: S704 (files of this package)
            script=Markup(script),  # noqa: S704
            policy=_policy(style, script),
        )
    )


def _figures(overview: Overview) -> list[tuple[str, str, str, str, bool]]:
    """Return for each figure what it counts, the figure, a remark, the section about it, and whether it is bad news."""
    totals = overview.totals
    further = totals.names - totals.files
    groups = f"{overview.duplicate_files:,} files in {len(overview.duplicates):,} groups"
    figures = [
        ("Files", f"{totals.files:,}", f"{further:,} further names (hard links)" if further else "", "sizes", False),
        ("Size", human(totals.bytes), f"in {totals.folders:,} folders", "types" if overview.types else "sizes", False),
        ("Duplicated", human(overview.wasted_bytes), groups, "duplicates", False),
        ("Not read", f"{len(overview.problems):,}", "files or folders", "problems", bool(overview.problems)),
    ]
    if overview.damaged:
        figures.append(("Damaged", f"{len(overview.damaged):,}", "files", "damaged", True))
    return figures


def _sections(overview: Overview, most: int) -> list[Section]:
    return [
        _types(overview, most),
        _sizes(overview, most),
        *_copies(overview, most),
        *_troubles(overview, most),
        _ages(overview, most),
        _run(overview, most),
        Section("settings", "Settings", facts=_settings(overview)),
    ]


def _types(overview: Overview, most: int) -> Section:
    section = Section("types", "Types", "As the content says, whatever the name.", count=len(overview.types))
    if overview.types:
        section.charts.append(_markup(type_chart(overview.types)))
        section.folded.append(tables.type_table(overview.types, most))
    return section


def _sizes(overview: Overview, most: int) -> Section:
    section = Section("sizes", "Sizes")
    if any(one.files for one in overview.sizes):
        section.charts.extend(map(_markup, size_charts(overview.sizes)))
        section.folded.append(tables.size_table(overview.sizes, most))
    if overview.largest:
        section.tables.append(tables.file_table("largest", "Largest files", overview.largest, most))
    return section


def _copies(overview: Overview, most: int) -> list[Section]:
    equal = Section("duplicates", "Duplicates", _concentration(overview), count=len(overview.duplicates))
    if overview.duplicates:
        equal.charts.append(_markup(duplicate_chart(overview)))
        equal.tables.append(tables.duplicate_table(overview.duplicates, most))
    near = Section(
        "near-duplicates",
        "Near duplicates",
        "Texts that say almost the same.",
        count=len(overview.near_duplicates or ()),
    )
    if overview.near_duplicates:
        near.tables.append(tables.near_table(overview.near_duplicates, most))
    return [equal, near]


def _concentration(overview: Overview) -> str:
    """Say how few groups hold most of the waste, where that is of use."""
    held, groups, wasted = 0, len(overview.duplicates), overview.wasted_bytes
    for number, group in enumerate(overview.duplicates, 1):
        held += group.wasted
        if held >= MOST_OF_IT * wasted:
            few = 1 < number <= groups / 2
            return f"{number:,} of {groups:,} groups hold {MOST_OF_IT:.0%} of what is wasted." if few else ""
    return ""


def _troubles(overview: Overview, most: int) -> list[Section]:
    damaged = Section(
        "damaged", "Damaged", "Truncated, corrupt, or with a wrong checksum.", count=len(overview.damaged)
    )
    if overview.damaged:
        damaged.tables.append(tables.damage_table(overview.damaged, most))
    problems = Section("problems", "Not read", count=len(overview.problems))
    if overview.problems:
        problems.tables.append(tables.fault_table(overview.problems, most))
    return [damaged, problems]


def _ages(overview: Overview, most: int) -> Section:
    section = Section("ages", "Ages")
    for name, caption, facts in (
        ("newest", "Modified last", overview.newest),
        ("oldest", "Modified longest ago", overview.oldest),
    ):
        if facts:
            section.tables.append(tables.file_table(name, caption, facts, most))
    return section


def _run(overview: Overview, most: int) -> Section:
    section = Section("run", "The run", "Stages overlap, and their time is summed over workers.")
    section.charts.extend(map(_markup, run_charts(overview.samples)))
    section.facts.extend(_run_facts(overview))
    if overview.stages:
        section.tables.append(tables.stage_table(overview.stages, most))
    if overview.samples:
        section.folded.append(tables.sample_table(overview.samples, MOMENTS))
    return section


def _run_facts(overview: Overview) -> Iterator[tuple[str, str]]:
    if overview.peak_bytes:
        allowed = f", of {human(overview.budget_bytes)} allowed" if overview.budget_bytes else ""
        yield "Memory", f"{human(overview.peak_bytes)} at most{allowed}"
    if overview.recalled:
        yield "Unchanged", f"{overview.recalled:,} names not read again"
    if overview.verdicts:
        yield "Contents looked into", ", ".join(f"{count:,} {verdict}" for verdict, count in overview.verdicts.items())
    if overview.texts:
        yield "Texts", f"{overview.texts:,} in the full-text index"
    if overview.died_workers:
        yield "Worker processes that died", f"{overview.died_workers:,}"
    if overview.killed_workers is not None:
        yield "Chaos", f"{overview.chaos}; the result is not affected"


def _settings(overview: Overview) -> list[tuple[str, str]]:
    facts = [("Equal means", f"same size and same {overview.algorithm.upper()}, from {human(overview.min_size)} on")]
    for name, value in overview.settings.items():
        text = "yes" if value is True else value if isinstance(value, str) else _listed(name, value)
        if text:
            facts.append((name.replace("_", " ").capitalize(), text))
    skipped = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in overview.skipped.items() if count)
    return [*facts, *([("Passed over", skipped)] if skipped else [])]


def _listed(name: str, value: Any) -> str:
    """Write a setting; what was not set is not worth a line."""
    if value is None or value is False:
        return ""
    if name == "max_memory":
        return human(value)
    return f"{value:,}" if isinstance(value, int | float) else ", ".join(value)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("plugin_survey.reporting", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finished,
    )
    environment.filters["pieces"] = lambda path: pieces(path.decode(errors="surrogateescape"))
    return environment


def _finished(value: Any) -> Any:
    """Show what is hidden in a text, whoever wrote it: a name, a setting, a message of a library."""
    return visible(value) if type(value) is str else value


def _policy(style: str, script: str) -> str:
    """Return a Content Security Policy that allows this very style and script, and nothing else at all."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


@cache
def _resource(name: str) -> str:
    return files("plugin_survey.reporting").joinpath("assets", name).read_text(encoding="utf-8")


def _markup(drawing: str) -> Markup:
    return Markup(drawing)  # noqa: S704 (`charts` has escaped it)
