"""Every type that is known: how it is recognised, checked and read. To add a type, add one `Format` here.

Order matters where two begin alike: the first that fits is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from plugin_survey.formats.book import read_epub
from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.compressed import check_bzip2, check_gzip, check_xz
from plugin_survey.formats.database import check_sqlite
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.jpeg import check_jpeg
from plugin_survey.formats.json_text import check_json, read_json
from plugin_survey.formats.mail import read_mail
from plugin_survey.formats.notebook import read_notebook
from plugin_survey.formats.office import read_docx, read_odf, read_pptx, read_xlsx
from plugin_survey.formats.pdf import check_pdf
from plugin_survey.formats.plain import read_markdown, read_text
from plugin_survey.formats.png import check_png
from plugin_survey.formats.source import Source
from plugin_survey.formats.table import check_table
from plugin_survey.formats.tars import check_tar
from plugin_survey.formats.wav import check_wav
from plugin_survey.formats.web import read_html
from plugin_survey.formats.xml_text import check_xml, read_xml
from plugin_survey.formats.zips import check_zip

Check = Callable[[Source, Tally], None]
"""Returns if all is well; raises `Damaged` or `Unchecked` (or the system's OSError) otherwise."""
Read = Callable[[Source, Gathered], None]
"""Adds title and text to what is gathered; raises the same."""


@dataclass(frozen=True, slots=True)
class Format:
    """A type of file.

    Attributes:
        kind: Its short name.
        suffixes: Endings of names, in lower case, that tell it where the content does not.
        magic: A regular expression that its first bytes match (dots match any byte); empty for text.
        textual: Whether it is text, so that the name decides which type of text it is.
        archive: The type of archive that it really is, if it is one.
        check: What checks its integrity, if anything can.
        read: What extracts its text, if it has any.
    """

    kind: str
    suffixes: tuple[str, ...] = ()
    magic: bytes = b""
    textual: bool = False
    archive: str = ""
    check: Check | None = None
    read: Read | None = None


_OPEN_XML = rb"PK\x03\x04(?=.*\[Content_Types\].xml)(?=.*PK\x03\x04.{26}%b/)"
_ODF = rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\.%b"

_ZIP_SUFFIXES = (".zip", ".jar", ".war", ".whl", ".apk", ".xpi", ".egg")
_XML_SUFFIXES = (".xml", ".xsd", ".xsl", ".xslt", ".svg", ".rss", ".atom", ".kml", ".gpx", ".wsdl")


def _zipped(kind: str, suffixes: tuple[str, ...], magic: bytes, read: Read) -> Format:
    return Format(kind, suffixes, magic, archive="zip", check=check_zip, read=read)


FORMATS = (
    # documents that are ZIP archives, which come before those
    _zipped("docx", (".docx", ".docm", ".dotx"), _OPEN_XML % b"word", read_docx),
    _zipped("xlsx", (".xlsx", ".xlsm", ".xltx"), _OPEN_XML % b"xl", read_xlsx),
    _zipped("pptx", (".pptx", ".pptm", ".ppsx"), _OPEN_XML % b"ppt", read_pptx),
    _zipped("odt", (".odt", ".ott"), _ODF % b"text", read_odf),
    _zipped("ods", (".ods", ".ots"), _ODF % b"spreadsheet", read_odf),
    _zipped("odp", (".odp", ".otp"), _ODF % b"presentation", read_odf),
    _zipped("epub", (".epub",), rb"PK\x03\x04.{26}mimetypeapplication/epub\+zip", read_epub),
    # archives and compressed files
    Format("zip", _ZIP_SUFFIXES, rb"PK(?:\x03\x04|\x05\x06)", check=check_zip),
    Format("gzip", (".gz", ".tgz", ".svgz"), rb"\x1f\x8b\x08", check=check_gzip),
    Format("bzip2", (".bz2", ".tbz2"), rb"BZh[1-9]1AY&SY", check=check_bzip2),
    Format("xz", (".xz", ".txz"), rb"\xfd7zXZ\x00", check=check_xz),
    Format("tar", (".tar",), rb".{257}ustar", check=check_tar),
    Format("7z", (".7z",), rb"7z\xbc\xaf\x27\x1c"),
    Format("rar", (".rar",), rb"Rar!\x1a\x07"),
    Format("zstd", (".zst",), rb"\x28\xb5\x2f\xfd"),
    Format("ar", (".a", ".deb"), rb"!<arch>\n"),
    # pictures, sound, film
    Format("png", (".png",), rb"\x89PNG\r\n\x1a\n", check=check_png),
    Format("jpeg", (".jpg", ".jpeg", ".jpe"), rb"\xff\xd8\xff", check=check_jpeg),
    Format("wav", (".wav",), rb"(?:RIFF|RIFX|RF64).{4}WAVE", check=check_wav),
    Format("gif", (".gif",), rb"GIF8[79]a"),
    Format("webp", (".webp",), rb"RIFF.{4}WEBP"),
    Format("avi", (".avi",), rb"RIFF.{4}AVI "),
    Format("ico", (".ico",), rb"\x00\x00[\x01\x02]\x00.\x00"),
    Format("bmp", (".bmp",), rb"BM.{4}\x00\x00\x00\x00"),
    Format("tiff", (".tif", ".tiff"), rb"II\*\x00|MM\x00\*"),
    Format("mp4", (".mp4", ".m4a", ".m4v", ".mov", ".heic", ".avif"), rb".{4}ftyp"),
    Format("matroska", (".mkv", ".webm"), rb"\x1aE\xdf\xa3"),
    Format("ogg", (".ogg", ".oga", ".ogv", ".opus"), rb"OggS\x00"),
    Format("flac", (".flac",), rb"fLaC"),
    Format("mp3", (".mp3",), rb"ID3[\x02-\x04]"),
    # programs
    Format("elf", (".so", ".o", ".ko"), rb"\x7fELF"),
    Format("pe", (".exe", ".dll"), rb"MZ(?=.{0,57}\x00).{58}"),
    Format("class", (".class",), rb"\xca\xfe\xba\xbe\x00\x00"),
    Format("wasm", (".wasm",), rb"\x00asm"),
    Format("pyc", (".pyc",), rb"[\x00-\xff]{2}\r\n[\x00-\x03]\x00\x00\x00"),
    # documents and data
    Format("pdf", (".pdf",), rb"%PDF-", check=check_pdf),
    Format("sqlite", (".sqlite", ".sqlite3"), rb"SQLite format 3\x00", check=check_sqlite),
    Format("ole", (".doc", ".xls", ".ppt", ".msi"), rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    Format("font", (".ttf", ".otf", ".woff", ".woff2"), rb"OTTO\x00|wOFF|wOF2|\x00\x01\x00\x00\x00"),
    Format("gettext", (".mo",), rb"\xde\x12\x04\x95|\x95\x04\x12\xde"),
    # text
    Format("ipynb", (".ipynb",), textual=True, check=check_json, read=read_notebook),
    Format("json", (".json", ".jsonl", ".ndjson", ".geojson"), textual=True, check=check_json, read=read_json),
    Format("csv", (".csv", ".tsv"), textual=True, check=check_table, read=read_text),
    Format("html", (".html", ".htm", ".xhtml"), textual=True, read=read_html),
    Format("xml", _XML_SUFFIXES, textual=True, check=check_xml, read=read_xml),
    Format("eml", (".eml",), textual=True, read=read_mail),
    Format("markdown", (".md", ".markdown"), textual=True, read=read_markdown),
    Format("text", (".txt", ".text", ".log"), textual=True, read=read_text),
    Format("empty"),
    Format("unknown"),
)

BY_KIND = {one.kind: one for one in FORMATS}
