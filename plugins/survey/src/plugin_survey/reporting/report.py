"""The report of a survey as a mapping with a stable shape, written as JSON, and its short form for people.

The shape is a promise, and `docs/reference/survey-report.md` describes it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.durations import Durations
from plugin_survey.problem import Problem
from plugin_survey.reading.walk import WalkCounts
from plugin_survey.reporting.overview import Fault, FileFact, Overview, Setting
from plugin_survey.shown import human, shown

FORMAT = "framework survey"
VERSION = 1


@dataclass(slots=True)
class Findings:
    """What a survey found; `plugin_survey.reporting.gathering` makes an `Overview` of it."""

    roots: Sequence[bytes]
    algorithm: str
    min_size: int
    started_at: float
    names: int = 0
    files: int = 0
    bytes: int = 0
    recalled: int = 0
    peak_memory: int = 0
    budget: int | None = None
    counts: WalkCounts = field(default_factory=WalkCounts)
    groups: Sequence[DuplicateGroup] = ()
    problems: Sequence[Problem] = ()
    durations: Durations = field(default_factory=Durations)


def path_entry(path: bytes) -> dict[str, Any]:
    """Return the JSON form of a path."""
    try:
        return {"path": path.decode()}
    except UnicodeDecodeError:
        return {"path": path.decode(errors="backslashreplace"), "path_bytes": base64.b64encode(path).decode()}


def make_report(overview: Overview) -> dict[str, Any]:
    """Return the report; `docs/reference/survey-report.md` says what is in it."""
    return {
        **_head(overview),
        "totals": {
            **asdict(overview.totals),
            "recalled": overview.recalled,
            "duplicate_groups": len(overview.duplicates),
            "duplicate_files": overview.duplicate_files,
            "wasted_bytes": overview.wasted_bytes,
            "problems": len(overview.problems),
            "damaged": len(overview.damaged),
        },
        "skipped": dict(overview.skipped),
        "types": [{**asdict(one), "name": _text(one.name)} for one in overview.types],
        "sizes": [asdict(one) for one in overview.sizes],
        "largest": [_file_entry(one) for one in overview.largest],
        "oldest": [_file_entry(one) for one in overview.oldest],
        "newest": [_file_entry(one) for one in overview.newest],
        "duplicates": [_group_entry(group) for group in overview.duplicates],
        "near_duplicates": [
            {"similarity": one.similarity, "files": [path_entry(path) for path in one.paths]}
            for one in overview.near_duplicates
        ],
        "damaged": [
            {**path_entry(one.path), "type": _text(one.type), "cause": _text(one.cause)} for one in overview.damaged
        ],
        "problems": _by_reason(overview.problems),
        "durations": {
            "total": round(overview.seconds, 6),
            **{stage.name: round(stage.seconds, 6) for stage in overview.stages},
        },
        "throughput": {
            "files_per_s": _rate(overview.totals.names, overview.seconds),
            "bytes_per_s": _rate(overview.totals.bytes, overview.seconds),
        },
        "verdicts": dict(overview.verdicts),
        "texts": overview.texts,
        "memory": {"peak_bytes": overview.peak_bytes, "budget_bytes": overview.budget_bytes},
        "samples": [asdict(one) for one in overview.samples],
        "died_workers": overview.died_workers,
        "killed_workers": overview.killed_workers,
    }


def write_report(report: Mapping[str, Any], path: str) -> None:
    """Write a report as JSON to a file.

    Raises:
        OSError: There is no space, or it cannot be written.
    """
    with open(path, "w", encoding="ascii") as target:
        target.writelines(_json_lines(report))


def summary_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the totals for a table: what, and how much."""
    totals, skipped = report["totals"], report["skipped"]
    took, rate = report["durations"]["total"], report["throughput"]
    verdicts, died, memory = report["verdicts"], report["died_workers"], report["memory"]
    rows = [
        ("files", f"{totals['files']:,}" + _aside(totals["names"] - totals["files"], "further names (hard links)")),
        *([("unchanged", f"{totals['recalled']:,} not read again")] if totals["recalled"] else []),
        ("bytes", f"{totals['bytes']:,} ({human(totals['bytes'])})"),
        ("folders", f"{totals['folders']:,}"),
        ("duplicates", f"{totals['duplicate_files']:,} in {totals['duplicate_groups']:,} groups"),
        ("wasted", f"{totals['wasted_bytes']:,} bytes ({human(totals['wasted_bytes'])})"),
        ("not read", ", ".join(f"{len(them):,} {reason}" for reason, them in report["problems"].items()) or "0"),
        *([("integrity", ", ".join(f"{n:,} {what}" for what, n in verdicts.items()))] if verdicts else []),
        *([("texts", f"{report['texts']:,} in the full-text index")] if report["texts"] else []),
        *([("workers", f"{died} died, {report['killed_workers'] or 0} of them killed on request")] if died else []),
        ("skipped", ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in skipped.items() if n) or "0"),
        ("time", f"{took:.2f} s ({rate['files_per_s']:,.0f} files/s, {human(rate['bytes_per_s'])}/s)"),
    ]
    if memory["budget_bytes"]:
        used = f"{human(memory['peak_bytes'])} at most, of {human(memory['budget_bytes'])} allowed"
        rows.append(("memory", used))
    return [{"what": what, "found": found} for what, found in rows]


def group_rows(groups: Iterable[DuplicateGroup]) -> list[dict[str, Any]]:
    """Return duplicate groups for a table."""
    return [
        {
            "wasted": human(group.wasted),
            "size": human(group.size),
            "files": len(group.files),
            "example": shown(group.files[0][0]),
        }
        for group in groups
    ]


def _head(overview: Overview) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "framework": overview.version,
        "started_at": datetime.fromtimestamp(overview.started_at, UTC).isoformat(timespec="seconds"),
        "roots": [path_entry(root) for root in overview.roots],
        "algorithm": overview.algorithm,
        "min_size": overview.min_size,
        "settings": {name: _setting(value) for name, value in overview.settings.items()},
    }


def _text(text: str) -> str:
    """Return a text without half characters, which JSON has no agreed form for."""
    return text.encode(errors="backslashreplace").decode()


def _setting(value: Setting) -> Any:
    if isinstance(value, str):
        return _text(value)
    return [_text(one) for one in value] if isinstance(value, Sequence) else value


def _file_entry(fact: FileFact) -> dict[str, Any]:
    return {**path_entry(fact.path), "size": fact.size, "modified_at": fact.modified_at}


def _group_entry(group: DuplicateGroup) -> dict[str, Any]:
    files = []
    for first, *others in group.files:
        entry = path_entry(first)
        if others:
            entry["links"] = [path_entry(path) for path in others]
        files.append(entry)
    return {"size": group.size, "digest": group.digest.hex(), "wasted_bytes": group.wasted, "files": files}


def _by_reason(problems: Iterable[Fault]) -> dict[str, list[dict[str, Any]]]:
    reasons: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(problems, key=lambda problem: (problem.reason, problem.path)):
        entry = {**path_entry(one.path), "stage": one.stage, "detail": _text(one.detail), "folder": one.folder}
        reasons.setdefault(one.reason, []).append(entry)
    return reasons


def _json_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the report line by line: a line for each key, and one for each element of a list.

    The encoder of the standard library is forty times slower when it indents.
    """
    separator = "{"
    for key, value in report.items():
        yield f"{separator}\n  {json.dumps(key)}: "
        separator = ","
        if isinstance(value, list) and value:
            yield "[\n    " + json.dumps(value[0])
            for element in value[1:]:
                yield ",\n    " + json.dumps(element)
            yield "\n  ]"
        else:
            yield json.dumps(value)
    yield "\n}\n"


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


def _aside(count: int, what: str) -> str:
    return f" and {count:,} {what}" if count else ""
