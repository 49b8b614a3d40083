"""Jupyter notebooks (nbformat 3 and 4): the source of their cells, without what they put out."""

from __future__ import annotations

import re

from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.json_text import strings
from plugin_survey.formats.plain import beginning
from plugin_survey.formats.source import Source

_STRING = r'"(?:[^"\\\n]++|\\.)*+"?'
# within a string the quotes would be escaped, so this finds keys only; pictures in the output need not be taken apart
_SOURCE = re.compile(rf'"(?:source|input)"\s*+:\s*+(?P<lines>\[(?:[^"\]]++|{_STRING})*+\]?|{_STRING})')
_HEADING = re.compile(r"^#[ \t]+(?P<title>[^\n]+)", re.MULTILINE)


def read_notebook(source: Source, gathered: Gathered) -> None:
    """Read the cells of a notebook; its title is the first heading in them."""
    text = beginning(source, gathered, 4 * gathered.bounds.text_bytes)
    for found in _SOURCE.finditer(text):
        cell = "".join(strings(found["lines"]))
        if not gathered.title and (heading := _HEADING.search(cell)):
            gathered.title = heading["title"]
        gathered.add(cell + "\n\n")
