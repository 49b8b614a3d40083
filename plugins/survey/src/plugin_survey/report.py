r"""The report of a survey: a mapping with a stable shape, written as JSON, and its short form for people.

Shape, version 1 (a key is only ever added; a change of meaning raises `version`):

- `format` `"framework survey"`, `version` 1, `started_at` (UTC, ISO 8601), `roots` (paths), `algorithm`, `min_size`
- `totals`: `names` (fingerprinted), `files` (hard links counted once), `bytes` (of those files), `recalled` (names that
  were not read, because the catalogue had them and they had not changed), `folders`,
  `duplicate_groups`, `duplicate_files` (beyond the first of each group), `wasted_bytes`, `problems`
- `skipped`: `symlinks`, `sockets`, `pipes`, `devices`, `excluded`, `other_file_systems` (counts)
- `duplicates`: groups, most wasted bytes first: `size`, `digest` (hex), `wasted_bytes`, `files`: one path each, with
  `links` (paths) where a file has further names
- `problems`: for each reason (`changed`, `denied`, `failed`, `replaced`, `vanished`) a list of paths, each with
  `detail` and `folder` (true where everything below it is missing too)
- `durations`: seconds `total`, and seconds spent in `walk`, `fingerprint` (summed over workers), `inspect`,
  `catalogue`, `duplicates`; stages overlap
- `verdicts`: how many contents are `ok`, `damaged`, `unchecked`, `failed` (not looked into to their end), where that
  was asked for; `bad`: those that are damaged or failed: a path, with `kind`, `verdict` and `problem`
- `texts`: how many contents are in the full-text index
- `workers`: how many worker processes `died`, and how many of those were `killed` on request
- `memory`: `peak` of all processes together as sampled, in bytes, and `budget` or null
- `throughput`: `files_per_s`, `bytes_per_s` over the total duration

A path is a mapping with `path`, text in which bytes that are not UTF-8 are written as `\xff`; only for such a path
there is `path_bytes` too, the exact bytes in base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.contents import BadContent
from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.former import head_of
from plugin_survey.problem import Problem
from plugin_survey.walk import WalkCounts

FORMAT = "framework survey"
VERSION = 1
_HEAD = f'{{\n  "format": "{FORMAT}",'


@dataclass(slots=True)
class Durations:
    """Seconds by stage; `fingerprint` is summed over workers, and stages overlap."""

    total: float = 0.0
    walk: float = 0.0
    fingerprint: float = 0.0
    inspect: float = 0.0
    catalogue: float = 0.0
    duplicates: float = 0.0


@dataclass(slots=True)
class Findings:
    """Everything that a report is made of."""

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
    verdicts: Mapping[str, int] = field(default_factory=dict)
    bad: Sequence[BadContent] = ()
    texts: int = 0
    died: int = 0
    killed: int = 0
    durations: Durations = field(default_factory=Durations)


def path_entry(path: bytes) -> dict[str, Any]:
    """Return the JSON form of a path."""
    try:
        return {"path": path.decode()}
    except UnicodeDecodeError:
        return {"path": path.decode(errors="backslashreplace"), "path_bytes": base64.b64encode(path).decode()}


def shown(path: bytes) -> str:
    """Return a path for a terminal: one line, nothing in it that a terminal would obey."""
    text = path.decode(errors="backslashreplace")
    return text if text.isprintable() else "".join(one if one.isprintable() else _escaped(one) for one in text)


def make_report(found: Findings) -> dict[str, Any]:
    """Return the report; the module says what is in it."""
    counts = asdict(found.counts)
    counts.pop("files")
    folders = counts.pop("folders")
    return {
        "format": FORMAT,
        "version": VERSION,
        "started_at": datetime.fromtimestamp(found.started_at, UTC).isoformat(timespec="seconds"),
        "roots": [path_entry(root) for root in found.roots],
        "algorithm": found.algorithm,
        "min_size": found.min_size,
        "totals": {
            "names": found.names,
            "files": found.files,
            "bytes": found.bytes,
            "recalled": found.recalled,
            "folders": folders,
            "duplicate_groups": len(found.groups),
            "duplicate_files": sum(len(group.files) - 1 for group in found.groups),
            "wasted_bytes": sum(group.wasted for group in found.groups),
            "problems": len(found.problems),
        },
        "skipped": counts,
        "duplicates": [_group_entry(group) for group in found.groups],
        "problems": _by_reason(found.problems),
        "verdicts": dict(found.verdicts),
        "bad": [
            {**path_entry(one.path), "kind": one.kind, "verdict": one.verdict, "problem": one.problem}
            for one in found.bad
        ],
        "texts": found.texts,
        "workers": {"died": found.died, "killed": found.killed},
        "memory": {"peak": found.peak_memory, "budget": found.budget},
        "durations": {stage: round(seconds, 6) for stage, seconds in asdict(found.durations).items()},
        "throughput": {
            "files_per_s": _rate(found.names, found.durations.total),
            "bytes_per_s": _rate(found.bytes, found.durations.total),
        },
    }


def write_report(report: Mapping[str, Any], path: str, *, shown_as: str = "") -> None:
    """Write a report as JSON to a file.

    Args:
        report: What `make_report` returned.
        path: The file.
        shown_as: What the error message calls it: where it will be published.

    Raises:
        ResourceUnavailableError: There is no space, or it cannot be written.
    """
    try:
        with open(path, "w", encoding="ascii") as target:
            target.writelines(_json_lines(report))
    except OSError as error:
        where = shown_as or path
        raise ResourceUnavailableError(
            f"The report {where} could not be written: {error.strerror}.",
            "Make room or choose another place with --report; what was there before is untouched.",
            resource=where,
        ) from error


def check_replaceable(path: str) -> None:
    """Refuse to replace a file that is not a report.

    Raises:
        InvalidRequestError: Something else is there.
    """
    head = head_of(path, len(_HEAD), "report")
    if head and head != _HEAD.encode():
        raise InvalidRequestError(
            f"{path} exists and is not a report of a survey, so it is not replaced.",
            "Choose another file, or remove it.",
        )


def summary_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the totals for a table: what, and how much."""
    totals, skipped = report["totals"], report["skipped"]
    took, rate = report["durations"]["total"], report["throughput"]
    verdicts, died, memory = report["verdicts"], report["workers"]["died"], report["memory"]
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
        *([("workers", f"{died} died, {report['workers']['killed']} of them killed on request")] if died else []),
        ("skipped", ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in skipped.items() if n) or "0"),
        ("time", f"{took:.2f} s ({rate['files_per_s']:,.0f} files/s, {human(rate['bytes_per_s'])}/s)"),
    ]
    if memory["budget"]:
        rows.append(("memory", f"{human(memory['peak'])} at most, of {human(memory['budget'])} allowed"))
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


def human(count: float) -> str:
    """Return a number of bytes in the largest unit of 1024 that leaves it at least 1."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _group_entry(group: DuplicateGroup) -> dict[str, Any]:
    files = []
    for first, *others in group.files:
        entry = path_entry(first)
        if others:
            entry["links"] = [path_entry(path) for path in others]
        files.append(entry)
    return {"size": group.size, "digest": group.digest.hex(), "wasted_bytes": group.wasted, "files": files}


def _by_reason(problems: Iterable[Problem]) -> dict[str, list[dict[str, Any]]]:
    reasons: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(problems, key=lambda problem: (problem.reason, problem.path)):
        reasons.setdefault(one.reason, []).append({**path_entry(one.path), "detail": one.detail, "folder": one.folder})
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


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
