"""Office documents: Office Open XML (ECMA-376) and OpenDocument (ISO/IEC 26300), ZIP archives with XML in them.

Names from inside an archive are compared with those that the formats prescribe, and never become a path.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.source import Source
from plugin_survey.formats.xml_text import Reader, local
from plugin_survey.formats.zips import expanded, members

_BLANKS = {"tab": "\t", "br": "\n", "cr": "\n", "line-break": "\n", "s": " "}
_MOST_PIECES = 100
"""Pieces of a title that are kept; expat hands over at most 8 KiB at once."""
_NUMBER = re.compile(r"\d+")


class Package:
    """The members of a document, and how to read the XML in one."""

    def __init__(self, source: Source, gathered: Gathered) -> None:
        self._source = source
        self._gathered = gathered
        self._tally = Tally(gathered.bounds, source.size)
        self.members = members(source, self._tally)

    def matching(self, pattern: str) -> list[str]:
        """Return the names that match a pattern, by the numbers in them."""
        found = [name for name in self.members if re.fullmatch(pattern, name)]
        return sorted(found, key=lambda name: ([int(number[:9]) for number in _NUMBER.findall(name)], name))

    def chunks(self, name: str) -> Iterable[bytes]:
        """Yield the content of a member, as long as reading it is worth it."""
        return self._gathered.paced(expanded(self._source, self.members[name], self._tally))

    def beginning(self, name: str, most: int) -> bytes:
        """Return the content of a member, or its first bytes if it has many more than `most`."""
        data = bytearray()
        for chunk in self.chunks(name):
            data += chunk
            if len(data) >= most:
                self._gathered.truncated = True
                break
        return bytes(data)

    def feed(self, name: str, reader: Reader) -> None:
        """Read the XML in a member, if it is there; what is wrong with it is noted."""
        if name in self.members:
            try:
                reader.feed(self.chunks(name))
            except (Damaged, Unchecked) as error:
                self._gathered.note = f"{self.members[name].label}: {error}"

    def targets(self, name: str, gathered: Gathered) -> dict[str, str]:
        """Return the members that a part refers to, by its identifiers for them; what is elsewhere is left out."""
        folder, file = posixpath.split(name)
        found: dict[str, str] = {}

        def start(element: str, values: dict[str, str]) -> None:
            target = posixpath.normpath(posixpath.join("/", folder, values.get("Target", ""))).lstrip("/")
            if local(element) == "Relationship" and values.get("TargetMode") != "External" and target in self.members:
                found[values.get("Id", "")] = target

        reader = Reader(gathered.bounds)
        reader.on_start = start
        self.feed(f"{folder}/_rels/{file}.rels", reader)
        return found


class _Part:
    """Gathers the text of one part: what is within some elements, with a line end after some."""

    def __init__(self, gathered: Gathered, within: str, lines: Iterable[str]) -> None:
        self.reader = Reader(gathered.bounds)
        self.reader.on_start, self.reader.on_end = self._start, self._end
        self.reader.on_text = self._text
        self._gathered = gathered
        self._within = within
        self._lines = frozenset(lines)
        self._inside = 0
        self._formula = False

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        if name == "c":
            self._formula = attributes.get("t") == "str"
        if name == self._within or (name == "v" and self._formula):
            self._inside += 1
        elif name in _BLANKS:
            self._gathered.add(_BLANKS[name])

    def _end(self, name: str) -> None:
        name = local(name)
        if self._inside and (name == self._within or (name == "v" and self._formula)):
            self._inside -= 1
        if name in self._lines:
            self._gathered.add("\n")

    def _text(self, text: str) -> None:
        if self._inside:
            self._gathered.add(text)


def first_text(package: Package, name: str, element: str, gathered: Gathered) -> str:
    """Return the text of the first element of a name in some part, or nothing."""
    pieces: list[str] = []
    state = {"open": False, "done": False}
    reader = Reader(gathered.bounds)

    def start(name: str, _: dict[str, str]) -> None:
        state["open"] = state["open"] or (local(name) == element and not state["done"])

    def end(name: str) -> None:
        if state["open"] and local(name) == element:
            state.update(open=False, done=True)

    reader.on_start, reader.on_end = start, end
    reader.on_text = lambda text: pieces.append(text) if state["open"] and len(pieces) < _MOST_PIECES else None
    package.feed(name, reader)
    return "".join(pieces)


def _read(package: Package, gathered: Gathered, names: Iterable[str], within: str, lines: Iterable[str]) -> None:
    for name in names:
        package.feed(name, _Part(gathered, within, lines).reader)


def _in_order(package: Package, gathered: Gathered, part: str, element: str, pattern: str) -> list[str]:
    """Return the parts that one lists in some elements, in that order, and then those of a pattern that it does not."""
    targets = package.targets(part, gathered)
    names: dict[str, None] = {}

    def start(name: str, values: dict[str, str]) -> None:
        if local(name) == element:
            identifiers = [value for key, value in values.items() if local(key) == "id"]
            names.update((targets[one], None) for one in identifiers if one in targets)

    reader = Reader(gathered.bounds)
    reader.on_start = start
    package.feed(part, reader)
    return list(names | dict.fromkeys(package.matching(pattern)))


def read_docx(source: Source, gathered: Gathered) -> None:
    """Read a text document of Office Open XML: body, notes, comments, headers and footers."""
    package = Package(source, gathered)
    gathered.title = first_text(package, "docProps/core.xml", "title", gathered)
    names = package.matching(r"word/document\d*\.xml")
    names += package.matching(r"word/(?:footnotes|endnotes|comments|header\d*|footer\d*)\.xml")
    _read(package, gathered, names, "t", ("p", "tr"))


def read_xlsx(source: Source, gathered: Gathered) -> None:
    """Read a workbook of Office Open XML: names of sheets, and cells with text; numbers are left out."""
    package = Package(source, gathered)
    gathered.title = first_text(package, "docProps/core.xml", "title", gathered)
    sheets = Reader(gathered.bounds)
    sheets.on_start = lambda name, values: (
        gathered.add(values.get("name", "") + "\n") if local(name) == "sheet" else None
    )
    package.feed("xl/workbook.xml", sheets)
    _read(package, gathered, ["xl/sharedStrings.xml"], "t", ("si",))
    names = _in_order(package, gathered, "xl/workbook.xml", "sheet", r"xl/worksheets/[^/]+\.xml")
    _read(package, gathered, names, "t", ("is", "v"))


def read_pptx(source: Source, gathered: Gathered) -> None:
    """Read a presentation of Office Open XML: slides in the order in which they are shown, then the notes."""
    package = Package(source, gathered)
    gathered.title = first_text(package, "docProps/core.xml", "title", gathered)
    names = _in_order(package, gathered, "ppt/presentation.xml", "sldId", r"ppt/slides/slide\d+\.xml")
    names += package.matching(r"ppt/notesSlides/notesSlide\d+\.xml")
    _read(package, gathered, names, "t", ("p",))


def read_odf(source: Source, gathered: Gathered) -> None:
    """Read an OpenDocument text, table or presentation."""
    package = Package(source, gathered)
    gathered.title = first_text(package, "meta.xml", "title", gathered)
    _read(package, gathered, ["content.xml"], "body", ("p", "h"))
