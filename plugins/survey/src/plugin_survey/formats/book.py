"""EPUB books (EPUB 3.3): the chapters, in the order of their spine."""

from __future__ import annotations

import posixpath
import urllib.parse

from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.office import Package, first_text
from plugin_survey.formats.source import Source
from plugin_survey.formats.web import add_page, decoded_page
from plugin_survey.formats.xml_text import Reader, local

_PAGE = r".*\.x?html?"


def read_epub(source: Source, gathered: Gathered) -> None:
    """Read a book; without a usable spine, its pages in the order of their names."""
    package = Package(source, gathered)
    for name in _chapters(package, gathered) or package.matching(_PAGE):
        try:
            add_page(decoded_page(package.beginning(name, 4 * gathered.bounds.text_bytes)), gathered)
        except (Damaged, Unchecked) as error:
            gathered.note = str(error)


def _chapters(package: Package, gathered: Gathered) -> list[str]:
    """Return the members that the spine lists, and set the title."""
    roots: list[str] = []
    reader = Reader(gathered.bounds)
    reader.on_start = lambda name, values: (
        roots.append(values.get("full-path", "")) if local(name) == "rootfile" else None
    )
    package.feed("META-INF/container.xml", reader)
    if not roots:
        return []
    gathered.title = first_text(package, roots[0], "title", gathered)
    return _spine(package, roots[0], gathered)


def _spine(package: Package, root: str, gathered: Gathered) -> list[str]:
    pages: dict[str, str] = {}
    order: list[str] = []

    def start(name: str, values: dict[str, str]) -> None:
        if local(name) == "item":
            path = posixpath.join(posixpath.dirname(root), urllib.parse.unquote(values.get("href", "")))
            path = posixpath.normpath(path)  # a key of the members, not a path of this machine
            if path in package.members:
                pages[values.get("id", "")] = path
        elif local(name) == "itemref":
            order.append(values.get("idref", ""))

    reader = Reader(gathered.bounds)
    reader.on_start = start
    package.feed(root, reader)
    return list(dict.fromkeys(pages[one] for one in order if one in pages))
