"""The report of a survey as a mapping with a stable shape, written as JSON, and its short form for people.

The shape is a promise, and `docs/reference/survey-report.md` describes it.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from plugin_survey.duplicates import HELD, DuplicateGroup, GroupIndex
from plugin_survey.durations import Durations
from plugin_survey.reading.walk import WalkCounts
from plugin_survey.reporting.overview import Fault, FileFact, NearGroup, Overview, Setting
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
    groups: GroupIndex = field(default_factory=GroupIndex)
    near: Sequence[NearGroup] | None = None
    durations: Durations = field(default_factory=Durations)


def path_entry(path: bytes) -> dict[str, Any]:
    """Return the JSON form of a path."""
    try:
        return {"path": path.decode()}
    except UnicodeDecodeError:
        return {"path": path.decode(errors="backslashreplace"), "path_bytes": base64.b64encode(path).decode()}


def make_report(overview: Overview) -> dict[str, Any]:
    """Return the report, all of it in memory; `docs/reference/survey-report.md` says what is in it."""
    report: dict[str, Any] = _held(lazy_report(overview))
    return report


def lazy_report(overview: Overview) -> dict[str, Any]:
    """Return the report; lists that may be of any length are iterators, which can be gone through once."""
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
        "duplicates": map(_group_entry, overview.duplicates),
        "near_duplicates": [
            {"similarity": one.similarity, "files": [path_entry(path) for path in one.paths]}
            for one in overview.near_duplicates or ()
        ],
        "damaged": (
            {**path_entry(one.path), "type": _text(one.type), "cause": _text(one.cause)} for one in overview.damaged
        ),
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
        "wanted_kills": overview.wanted_kills,
    }


def write_report(overview: Overview, path: str) -> None:
    """Write the report as JSON to a file, piece by piece, so that its size does not matter to memory.

    Raises:
        OSError: There is no space, or it cannot be written.
    """
    with open(path, "w", encoding="ascii") as target:
        target.writelines(json_lines(overview))


def summary_rows(overview: Overview) -> list[dict[str, Any]]:
    """Return the totals for a table: what, and how much."""
    totals, verdicts, died = overview.totals, overview.verdicts, overview.died_workers
    took, wasted, chaos = overview.seconds, overview.wasted_bytes, overview.chaos
    reasons = Counter(one.reason for one in overview.problems)
    rows = [
        ("files", f"{totals.files:,}" + _aside(totals.names - totals.files, "further names (hard links)")),
        *([("unchanged", f"{overview.recalled:,} not read again")] if overview.recalled else []),
        ("bytes", f"{totals.bytes:,} ({human(totals.bytes)})"),
        ("folders", f"{totals.folders:,}"),
        ("duplicates", f"{overview.duplicate_files:,} in {len(overview.duplicates):,} groups"),
        ("wasted", f"{wasted:,} bytes ({human(wasted)})"),
        *([("similar", _similar(overview.near_duplicates))] if overview.near_duplicates is not None else []),
        ("not read", ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()) or "0"),
        *([("integrity", ", ".join(f"{n:,} {what}" for what, n in verdicts.items()))] if verdicts else []),
        *([("texts", f"{overview.texts:,} in the full-text index")] if overview.texts else []),
        *([("workers", f"{died} died" + (f"; {chaos}" if chaos else ""))] if died or chaos else []),
        ("skipped", ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in overview.skipped.items() if n) or "0"),
        ("time", f"{took:.2f} s ({_rate(totals.names, took):,.0f} files/s, {human(_rate(totals.bytes, took))}/s)"),
    ]
    if overview.budget_bytes:
        used = f"{human(overview.peak_bytes)} at most, of {human(overview.budget_bytes)} allowed"
        rows.append(("memory", used))
    return [{"what": what, "found": found} for what, found in rows]


def group_rows(groups: Iterable[DuplicateGroup]) -> list[dict[str, Any]]:
    """Return duplicate groups for a table."""
    return [
        {
            "wasted": human(group.wasted),
            "size": human(group.size),
            "files": len(group.files),
            "example": shown(next(iter(group.files))[0]),
        }
        for group in groups
    ]


def _held(value: Any) -> Any:
    """Return a part of the report with lists instead of iterators."""
    if isinstance(value, Mapping):
        return {key: _held(one) for key, one in value.items()}
    return [_held(one) for one in value] if isinstance(value, Iterator) else value


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
    files: Any = map(_names_entry, group.files)
    if len(group.files) <= HELD:
        files = list(files)
    return {"size": group.size, "digest": group.digest.hex(), "wasted_bytes": group.wasted, "files": files}


def _names_entry(names: Sequence[bytes]) -> dict[str, Any]:
    first, *others = names
    return {**path_entry(first), **({"links": [path_entry(path) for path in others]} if others else {})}


def _by_reason(problems: Iterable[Fault]) -> dict[str, Iterator[dict[str, Any]]]:
    reasons = dict.fromkeys(one.reason for one in problems)
    return {reason: _fault_entries(problems, reason) for reason in reasons}


def _fault_entries(problems: Iterable[Fault], reason: str) -> Iterator[dict[str, Any]]:
    for one in problems:
        if one.reason == reason:
            yield {**path_entry(one.path), "stage": one.stage, "detail": _text(one.detail), "folder": one.folder}


def json_lines(overview: Overview) -> Iterator[str]:
    """Yield the report as JSON, in pieces: a line for each key, and one for each element of a list.

    The encoder of the standard library is forty times slower when it indents.
    """
    separator = "{"
    for key, value in lazy_report(overview).items():
        yield f"{separator}\n  {json.dumps(key)}: "
        separator = ","
        if isinstance(value, list | Iterator):
            yield from _pieces(iter(value), "\n    ", "\n  ")
        else:
            yield from _encoded(value)
    yield "\n}\n"


def _encoded(value: Any) -> Iterator[str]:
    """Yield a value in pieces where it has iterators in it, which are too long for one."""
    if isinstance(value, Iterator):
        yield from _pieces(value)
    elif isinstance(value, Mapping) and any(isinstance(one, Iterator) for one in value.values()):
        separator = "{"
        for key, one in value.items():
            yield f"{separator}{json.dumps(key)}: "
            yield from _encoded(one)
            separator = ", "
        yield "}"
    else:
        yield json.dumps(value)


def _pieces(values: Iterator[Any], before: str = "", after: str = "") -> Iterator[str]:
    """Yield a list in pieces, with some space before each element and after the last."""
    first = next(values, None)
    if first is None:
        yield "[]"
        return
    yield f"[{before}"
    yield from _encoded(first)
    for value in values:
        yield f",{before}" if before else ", "
        yield from _encoded(value)
    yield f"{after}]"


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


def _similar(groups: Sequence[NearGroup]) -> str:
    return f"{sum(len(group.paths) for group in groups):,} texts in {len(groups):,} groups"


def _aside(count: int, what: str) -> str:
    return f" and {count:,} {what}" if count else ""
