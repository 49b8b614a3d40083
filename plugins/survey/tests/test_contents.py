"""What is looked into again."""

from __future__ import annotations

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
