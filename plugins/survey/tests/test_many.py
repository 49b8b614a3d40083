"""A report of very many files: its lists stay in the catalogue, and are never in memory as a whole."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from plugin_survey.cataloguing.catalogue import Catalogue, CatalogueDamagedError, Outcome, Run
from plugin_survey.duplicates import index_groups
from plugin_survey.problem import Problem
from plugin_survey.reporting.gathering import gather, opened
from plugin_survey.reporting.outputs import Output
from plugin_survey.reporting.report import Findings, make_report, summary_rows

NAMES = 20_000
MOST = {"html": 12 << 20, "json": 2 << 20, "xlsx": 2 << 20}
"""Bytes that may be in memory: a page is made as one text, of at most 1,000 rows of each list."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Findings]:
    """A catalogue of one group of very many files, of very many pairs, and of very many problems."""
    path = str(tmp_path_factory.mktemp("catalogue") / "c")
    catalogue = Catalogue(path, Run(0.0, [], {}, "sha256"))
    long = b"/a folder with a rather long name" * 4
    for start in range(0, NAMES, 1000):
        numbers = range(start, start + 1000)
        same = [(b"%b/same %d" % (long, n), 9, n, n, 1, n, b"s" * 32, "text", catalogue.run) for n in numbers]
        pairs = [
            (b"%b/pair %d" % (long, n), 5, n, n, 2, n, b"%032d" % (n // 2), "text", catalogue.run) for n in numbers
        ]
        problems = [Problem(b"%b/%d" % (long, n), "denied", "Permission denied") for n in numbers]
        catalogue.add([one[:8] for one in (*same, *pairs)], problems)
    catalogue.conclude()
    findings = Findings([b"/"], "sha256", 1, 0.0)
    with catalogue.guarded() as database:
        findings.groups = index_groups(database, 1)
    catalogue.finish(Outcome())
    return path, findings


@pytest.mark.parametrize("ending", ["html", "json", "xlsx"])
def test_memory_does_not_grow_with_what_is_listed(found: tuple[str, Findings], tmp_path: Path, ending: str) -> None:
    catalogue, findings = found
    draft = tmp_path / f"r.{ending}"
    output = Output(str(draft), f".{ending}")
    with opened(catalogue) as database:
        output.write(gather(Findings([], "", 1, 0.0), database, {}), str(draft), str(tmp_path))  # imports
        tracemalloc.start()
        try:
            overview = gather(findings, database, {})
            output.write(overview, str(draft), str(tmp_path))
            rows = {row["what"]: row["found"] for row in summary_rows(overview)}
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert rows["duplicates"] == f"{NAMES - 1 + NAMES // 2:,} in {NAMES // 2 + 1:,} groups"
    assert rows["not read"] == f"{NAMES:,} denied"
    assert peak < MOST[ending]
    if ending == "html":
        assert draft.stat().st_size < 2 << 20


def test_a_report_in_pieces_is_the_report(found: tuple[str, Findings], tmp_path: Path) -> None:
    catalogue, findings = found
    draft = tmp_path / "r.json"
    with opened(catalogue) as database:
        overview = gather(findings, database, {})
        Output(str(draft), ".json").write(overview, str(draft), str(tmp_path))
        assert json.loads(draft.read_text()) == make_report(overview)
        assert len(make_report(overview)["duplicates"][0]["files"]) == NAMES


@pytest.mark.parametrize("lost", ["digest = zeroblob(32)", "size = size + 1"])
def test_a_group_that_lacks_files_shows_that_the_catalogue_is_damaged(
    found: tuple[str, Findings], tmp_path: Path, lost: str
) -> None:
    catalogue, findings = found
    damaged = str(tmp_path / "damaged")
    shutil.copy(catalogue, damaged)
    with closing(sqlite3.connect(damaged)) as database, database:
        database.execute(f"UPDATE file SET {lost} WHERE inode % 10 = 1")
    draft = str(tmp_path / "r.json")
    with opened(damaged) as database:
        overview = gather(findings, database, {})
        with pytest.raises(CatalogueDamagedError, match="damaged is damaged"):
            Output(draft, ".json").write(overview, draft, str(tmp_path))


def test_an_error_of_the_database_that_tells_damage_is_explained(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"SQLite format 3\0" + bytes(4096))
    with pytest.raises(CatalogueDamagedError), opened(str(tmp_path / "c")) as database:
        gather(Findings([b"/"], "sha256", 1, 0.0), database, {})
