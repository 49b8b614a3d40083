"""XML 1.0: well-formedness and encoding, and the text between the tags, by expat, piece by piece.

Nothing outside of the file is ever read. Entities that the document declares itself are left alone if they are short
and plain; any that refer to others, or are long, end the reading before one is expanded, because from those bombs are
made (CVE-2003-1564 and its kin). So do declarations, attributes by default and different names beyond what documents
have, because expat keeps them all, and looks at every default for every element.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.parsers import expat

from plugin_survey.formats.bounds import Bounds, Tally
from plugin_survey.formats.charset import codec_of
from plugin_survey.formats.finding import CUT_OFF, Damaged, Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.plain import doubted
from plugin_survey.formats.source import Source

_ENCODING = re.compile(rb"""<\?xml[^>]{1,100}?encoding\s*=\s*["']([A-Za-z][\w.-]{0,40})["']""")
_KNOWN_TO_EXPAT = re.compile("utf-?(?:8|16)|iso-8859-1|us-ascii", re.IGNORECASE)
_LONGEST_ENTITY = 256
_FED = 64 << 10
"""Bytes that expat gets at once."""
_LONGEST_TAG_WITH_ENTITIES = 64 << 10
"""Bytes; what one tag may expand to is 85 times as much, since a reference has at least three."""

_PORTION = 64 << 10
"""Characters of text that are gathered at once."""
_LONGEST_DOCTYPE = 256 << 10
"""Bytes of declarations within the document."""
_MOST_DEFAULTS = 200
"""Attributes that have a value where the document gives none."""
_MOST_NAMES = 50_000
"""Different names of elements and attributes."""

_NO_MEMORY = expat.errors.codes[expat.errors.XML_ERROR_NO_MEMORY]
_NO_ELEMENT = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]
_AT_END = {
    _NO_ELEMENT,
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
}
_NOT_DAMAGE = {
    # programs that turn a text into UTF-8 often leave the declaration as it was
    expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
    expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY],
}


class Reader:
    """Feeds a document to expat and keeps to the bounds; users set the handlers they want before `feed`."""

    def __init__(self, bounds: Bounds) -> None:
        self.elements = 0
        self.depth = 0
        self._bounds = bounds
        self._longest_tag = bounds.piece_bytes
        self._names: dict[str, Any] = {}  # filled by expat's interning
        self._names_seen = self._names_length = 0
        self._defaults = 0
        self._fed = 0
        self._doctype: int | None = None  # where the declarations began, while they last
        self.on_start: Callable[[str, dict[str, str]], None] | None = None
        self.on_end: Callable[[str], None] | None = None
        self.on_text: Callable[[str], None] | None = None

    def _parser(self, encoding: str | None) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding, intern=self._names)
        parser.buffer_text = True
        parser.specified_attributes = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler, parser.EndDoctypeDeclHandler = self._doctype_begins, self._doctype_ends
        parser.EntityDeclHandler = self._declared
        parser.AttlistDeclHandler = self._attribute_declared
        parser.CharacterDataHandler = self.on_text
        # expat expands no entity within text while this handler is set
        parser.DefaultHandler = lambda _: None
        return parser

    def _doctype_begins(self, *_: object) -> None:
        self._doctype = self._fed

    def _doctype_ends(self) -> None:
        self._doctype = None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self.depth += 1
        if len(self._names) > self._names_seen:
            self._count_names()
        if self.depth > self._bounds.depth:
            raise Unchecked(f"it is nested deeper than {self._bounds.depth:,} levels")
        if self.on_start:
            self.on_start(name, attributes)

    def _count_names(self) -> None:
        new = itertools.islice(reversed(self._names), len(self._names) - self._names_seen)
        self._names_length += sum(len(name or "") for name in new)
        self._names_seen = len(self._names)
        if self._names_seen > _MOST_NAMES or self._names_length > self._bounds.piece_bytes:
            raise Unchecked(f"it has {self._names_seen:,} different names or more, which no document has")

    def _end(self, name: str) -> None:
        self.depth -= 1
        if self.on_end:
            self.on_end(name)

    def _declared(self, name: str, parameter: int, value: str | None, *_: str | None) -> None:
        if value is None:
            return  # it is in another file, and stays there
        if parameter or len(value) > _LONGEST_ENTITY or "&" in value or "%" in value:
            raise Unchecked(f"its entity {name[:40]!a} is long or refers to others, as in XML bombs")
        self._longest_tag = min(self._longest_tag, _LONGEST_TAG_WITH_ENTITIES)

    def _attribute_declared(self, _element: str, _name: str, _type: str, default: str | None, _required: int) -> None:
        self._defaults += default is not None
        if self._defaults > _MOST_DEFAULTS:
            raise Unchecked(f"it declares more than {_MOST_DEFAULTS:,} attributes by default, as in XML bombs")

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Read a document to its end.

        Raises:
            Damaged: It is not well-formed.
            Unchecked: It is too deep, a tag is too long, it declares an entity that is not allowed, or its encoding is
                unknown here.
        """
        rest = iter(chunks)
        first = next(rest, b"")
        told = _ENCODING.match(first)
        encoding = told[1].decode() if told else ""
        chunks = itertools.chain([first], rest)
        try:
            if not encoding or _KNOWN_TO_EXPAT.fullmatch(encoding):
                self._parse(self._parser(None), chunks)
            elif codec := codec_of(encoding):  # expat has no decoders for those of East Asia
                self._parse(self._parser("utf-8"), (one.encode() for one in codecs.iterdecode(chunks, codec)))
            else:
                raise Unchecked(f"its encoding cannot be read: {encoding} is not known here")
        except expat.ExpatError as error:
            raise self._verdict(error) from None
        except ValueError as error:  # bytes that are not in the encoding
            raise Unchecked(f"its encoding cannot be read: {ascii(str(error))[1:-1][:100]}") from None

    def _parse(self, parser: expat.XMLParserType, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            for at in range(0, len(chunk), _FED):
                piece = chunk[at : at + _FED]
                parser.Parse(piece)
                self._fed += len(piece)
                if self._fed - parser.CurrentByteIndex > self._longest_tag:
                    raise Unchecked(f"one of its tags is longer than {self._longest_tag:,} bytes")
                if self._doctype is not None and self._fed - self._doctype > _LONGEST_DOCTYPE:
                    raise Unchecked(f"its declarations are longer than {_LONGEST_DOCTYPE:,} bytes")
        parser.Parse(b"", True)  # noqa: FBT003 - expat takes no keywords

    def _verdict(self, error: expat.ExpatError) -> Damaged | Unchecked | MemoryError:
        if error.code == _NO_MEMORY:
            return MemoryError()
        problem = f"line {error.lineno:,}: {expat.ErrorString(error.code)}"
        if error.code == _NO_ELEMENT and not self.elements:
            return Unchecked("it has no element: it is cut off, or a piece that is to be put before others")
        if error.code in _AT_END:
            return Damaged(f"{CUT_OFF} in {problem}")
        return Unchecked(problem) if error.code in _NOT_DAMAGE else Damaged(problem)


def check_xml(source: Source, tally: Tally) -> None:
    """Check an XML document: that it is well-formed to its end. References to external entities are not followed."""
    reader = Reader(tally.bounds)
    try:
        reader.feed(source.chunks())
    except Damaged as error:
        raise doubted(source, error) from None
    finally:
        tally.members = reader.elements


def read_xml(source: Source, gathered: Gathered) -> None:
    """Read the text between the tags; the title is that of the first element of this name."""
    lines = _Lines(gathered)
    reader = Reader(gathered.bounds)
    reader.on_start, reader.on_end, reader.on_text = lines.start, lines.end, lines.text
    reader.feed(gathered.paced(source.chunks()))


class _Lines:
    """Gathers each text between two tags as a line, and the title."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self._pieces: list[str] = []
        self._length = 0
        self._titles = 0  # open elements of this name within the first one
        self._titled = False

    def start(self, name: str, _: dict[str, str]) -> None:
        self._flush()
        if local(name) == "title" and not self._titled:
            self._titles += 1

    def end(self, name: str) -> None:
        self._flush()
        if self._titles and local(name) == "title":
            self._titles -= 1
            self._titled = not self._titles

    def text(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        if self._length > _PORTION:  # taken apart at once, a long one would take much memory
            self._flush()

    def _flush(self) -> None:
        words = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        self._length = 0
        if words:
            if self._titles and len(self._gathered.title) < _PORTION:
                self._gathered.title += f" {words}"
            self._gathered.add(words + "\n")


def local(name: str) -> str:
    """Return the name of an element without its prefix."""
    return name.rpartition(":")[2]
