"""What is looked into again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from plugin_survey.cataloguing.catalogue import Catalogue, Run
from plugin_survey.inspecting.contents import Contents
from plugin_survey.inspecting.inspection import FAILED, TOO_GREEDY, Look


@pytest.mark.parametrize(
    ("cause", "later", "again"),
    [(TOO_GREEDY, 200, 1), (TOO_GREEDY, None, 1), (TOO_GREEDY, 100, 0), ("it ended its worker", None, 0)],
)
def test_what_memory_did_not_suffice_for_is_tried_again_with_more(
    tmp_path: Path, cause: str, later: int | None, again: int
) -> None:
    for limit, expected in ((100, 1), (later, again)):
        catalogue = Catalogue(str(tmp_path / "c"), Run(1.0, [], {"max_memory": limit}, "sha256"))
        if expected and limit == 100:
            catalogue.add([(b"/p", 5, 1, 1, 2, 3, b"d" * 32, "png")], [])
        contents = Contents(catalogue, check=True, index=False, budget=limit)
        assert contents.prepare().contents == expected
        if expected:
            [item] = contents.take("png", 1)
            contents.enter([Look(item.number, FAILED, f"{cause} there is")])
            contents.finish()
        catalogue.close(commit=True)


def text_found(catalogue: Catalogue, word: str) -> list[int]:
    with catalogue.guarded() as database:
        database.execute("INSERT INTO text_index (text_index) VALUES ('integrity-check')")
        query = "SELECT rowid FROM text_index WHERE text_index MATCH ?"
        return [number for (number,) in database.execute(query, (word,))]


def test_texts_are_entered_together_and_leave_the_index_with_their_files(tmp_path: Path) -> None:
    path, run = str(tmp_path / "c"), Run(1.0, [], {}, "sha256")
    with closing(Catalogue(path, run)) as catalogue:
        catalogue.add([(b"/%d" % one, 5, 1, 1, 2, one, b"%032d" % one, "text") for one in range(3)], [])
        contents = Contents(catalogue, check=False, index=True)
        contents.prepare()
        for item in contents.take("text", 3):
            contents.enter([Look(item.number, body=f"common only{item.path[1:].decode()}")])
        assert not catalogue.new_texts  # more may come
        contents.finish()
        assert catalogue.new_texts
        assert len(text_found(catalogue, "common")) == 3
        catalogue.close(commit=True)
    with closing(Catalogue(path, run)) as catalogue:
        catalogue.seen[1] = catalogue.seen[3] = 1
        catalogue.conclude()
        assert catalogue.new_texts
        assert len(text_found(catalogue, "common")) == 2
        assert text_found(catalogue, "only1") == []


def test_an_index_that_was_kept_by_triggers_is_gone_on_with(tmp_path: Path) -> None:
    path, run = str(tmp_path / "c"), Run(1.0, [], {}, "sha256")
    Catalogue(path, run).close(commit=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER text_added AFTER INSERT ON text BEGIN"
            " INSERT INTO text_index (rowid, title, body) VALUES (new.id, new.title, new.body); END"
        )
    with closing(Catalogue(path, run)) as catalogue:
        catalogue.add([(b"/a", 5, 1, 1, 2, 3, b"d" * 32, "text")], [])
        contents = Contents(catalogue, check=False, index=True)
        contents.prepare()
        contents.enter([Look(contents.take("text", 1)[0].number, body="word")])
        contents.finish()
        assert len(text_found(catalogue, "word")) == 1
