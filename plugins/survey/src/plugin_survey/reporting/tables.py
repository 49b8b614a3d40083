"""Tables of an `Overview`, bounded, in an order that needs no sorting: what a page shows of each list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.reporting.overview import Damage, Fault, FileFact, NearGroup, Sample, SizeCount, Stage, TypeCount
from plugin_survey.shown import dated, human, lasting

PATHS = 20
"""Most paths of one group on a page."""
WORD = 20
"""Most characters of a text that is not broken into lines."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: `text` for people, `value` to sort by where text does not do, or `paths`, of `of` in all."""

    text: str = ""
    value: float | None = None
    paths: tuple[bytes, ...] = ()
    of: int = 0
    note: str = ""


Row = tuple[Cell, ...]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows of `total`; numbers stand to the right, and a table of `files` is laid out anew on a narrow screen."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    total: int

    @property
    def files(self) -> bool:
        """Whether its rows have paths, which need the whole width of a phone."""
        return any(cell.paths for cell in self.rows[0])

    @property
    def numbers(self) -> list[bool]:
        """For each column whether it holds numbers."""
        return [any(row[at].value is not None for row in self.rows) for at in range(len(self.columns))]

    @property
    def words(self) -> list[bool]:
        """For each column whether its texts are so short that none need be broken."""
        return [all(len(row[at].text) <= WORD for row in self.rows) for at in range(len(self.columns))]


def type_table(types: Sequence[TypeCount], most: int) -> Table:
    """Return files by type, the most bytes first."""
    ordered = sorted(types, key=lambda one: (-one.bytes, one.name))
    damaged = any(one.damaged for one in types)

    def row(one: TypeCount) -> Row:
        return Cell(one.name), _count(one.files), _bytes(one.bytes), *([_count(one.damaged)] if damaged else [])

    columns = ("Type", "Files", "Size", *(["Damaged"] if damaged else []))
    return _table("type-list", "Files by type", columns, ordered, row, most)


def size_table(sizes: Sequence[SizeCount], most: int) -> Table:
    """Return files by size, the smallest first."""

    def row(one: SizeCount) -> Row:
        return Cell(least_text(one.least), one.least), _count(one.files), _bytes(one.bytes)

    return _table("size-list", "Files by size", ("From", "Files", "Size"), sizes, row, most)


def file_table(name: str, caption: str, facts: Sequence[FileFact], most: int) -> Table:
    """Return single files."""

    def row(one: FileFact) -> Row:
        return _bytes(one.size), Cell(dated(one.modified_at), one.modified_at), _paths([one.path])

    return _table(name, caption, ("Size", "Modified (UTC)", "File"), facts, row, most)


def duplicate_table(groups: Collection[DuplicateGroup], most: int) -> Table:
    """Return groups of equal files, the most wasted bytes first."""

    def row(group: DuplicateGroup) -> Row:
        paths = tuple(islice((name for names in group.files for name in names), PATHS))
        names = Cell(paths=paths, of=sum(map(len, group.files)), note=f"SHA-256 {group.digest.hex()}")
        return _bytes(group.wasted), _count(len(group.files)), _bytes(group.size), names

    columns = ("Wasted", "Copies", "Each", "Files")
    return _table("duplicate-groups", "Groups of equal files", columns, groups, row, most)


def near_table(groups: Sequence[NearGroup], most: int) -> Table:
    """Return groups of similar texts, the most similar first."""
    ordered = sorted(groups, key=lambda group: -group.similarity)

    def row(group: NearGroup) -> Row:
        return Cell(f"{group.similarity:.0%}", group.similarity), _count(len(group.paths)), _paths(group.paths)

    return _table("near-groups", "Groups of similar texts", ("Similarity", "Texts", "Files"), ordered, row, most)


def damage_table(damaged: Collection[Damage], most: int) -> Table:
    """Return damaged files."""

    def row(one: Damage) -> Row:
        return Cell(one.type), _paths([one.path]), Cell(one.cause)

    return _table("damaged-files", "Damaged files", ("Type", "File", "Cause"), damaged, row, most)


def fault_table(problems: Collection[Fault], most: int) -> Table:
    """Return what could not be worked on, by reason."""

    def row(one: Fault) -> Row:
        path = _paths([one.path], "with all below it" if one.folder else "")
        return Cell(one.reason), Cell(one.stage), path, Cell(one.detail)

    columns = ("Reason", "Stage", "File or folder", "Cause")
    return _table("problem-list", "Files and folders", columns, problems, row, most)


def stage_table(stages: Sequence[Stage], most: int) -> Table:
    """Return the time of each stage, with the files and bytes of those that count them."""
    counted = any(one.files is not None or one.bytes is not None for one in stages)

    def row(one: Stage) -> Row:
        return Cell(one.name), _seconds(one.seconds), *([_count(one.files), _bytes(one.bytes)] if counted else [])

    columns = ("Stage", "Time", *(["Files", "Size"] if counted else []))
    return _table("stage-list", "Time by stage", columns, stages, row, most)


def sample_table(samples: Sequence[Sample], most: int) -> Table:
    """Return the run over time: at most so many moments, evenly spread; columns that nobody measured are left out."""
    step = -(-len(samples) // most)
    columns: list[tuple[str, Any]] = [
        ("Time", lambda one: _seconds(one.seconds)),
        ("Stage", lambda one: Cell(one.stage)),
        ("Files/s", lambda one: _count(round(one.files_per_s))),
        ("Bytes/s", lambda one: _bytes(one.bytes_per_s)),
        ("Memory", lambda one: _bytes(one.resident_bytes)),
        ("Budget", lambda one: _bytes(one.budget_bytes)),
        ("Batch", lambda one: _count(one.batch)),
        ("Bytes an item", lambda one: _bytes(one.bytes_per_item)),
    ]
    cells = [[make(one) for one in samples[::step]] for _, make in columns]
    kept = [
        (title, column) for (title, _), column in zip(columns, cells, strict=True) if any(one.text for one in column)
    ]
    rows = list(zip(*(column for _, column in kept), strict=True))
    return Table("samples", "The run over time", tuple(title for title, _ in kept), rows, len(samples))


def least_text(least: int) -> str:
    """Return the smallest size of a bucket."""
    return "empty" if least == 0 else human(least).replace(".0 ", " ")


def _table(
    name: str, caption: str, columns: tuple[str, ...], items: Collection[Item], row: Callable[[Item], Row], most: int
) -> Table:
    return Table(name, caption, columns, [row(one) for one in islice(items, most)], len(items))


def _count(count: int | None) -> Cell:
    return Cell() if count is None else Cell(f"{count:,}", count)


def _bytes(count: float | None) -> Cell:
    return Cell() if count is None else Cell(human(count), count)


def _seconds(seconds: float) -> Cell:
    return Cell(lasting(seconds), seconds)


def _paths(paths: Sequence[bytes], note: str = "") -> Cell:
    return Cell(paths=tuple(paths[:PATHS]), of=len(paths), note=note)
