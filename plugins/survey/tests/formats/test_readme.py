"""The table of types in the README agrees with the registry."""

from __future__ import annotations

import re
from pathlib import Path

from plugin_survey.formats import Bounds
from plugin_survey.formats.registry import FORMATS

README = Path(__file__).parents[2] / "README.md"


def test_the_table_lists_exactly_what_is_checked_and_read() -> None:
    table = README.read_text().partition("| type | checked | text |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]
    checked = {kind for row in rows for kind in row[0].split(", ") if row[1]}
    read = {kind for row in rows for kind in row[0].split(", ") if row[2]}
    assert checked == {one.kind for one in FORMATS if one.check}
    assert read == {one.kind for one in FORMATS if one.read}


def test_the_bounds_are_those_of_the_code() -> None:
    text = " ".join(README.read_text().split())
    bounds = Bounds()
    assert f"beyond {bounds.expanded_bytes >> 20} MiB and a hundredfold" in text
    assert bounds.ratio == 100
    assert f"more than {bounds.members:,} members" in text
    assert f"deeper than {bounds.depth:,} levels" in text
    assert f"more than {bounds.piece_bytes >> 20} MiB is" in text
    assert f"At most {bounds.text_bytes >> 20} MiB of text" in text
    assert f"for at most {bounds.seconds:g} s" in text
    known = sum(1 for one in FORMATS if one.magic)
    assert re.search("about forty kinds", text)
    assert 35 <= known <= 45
