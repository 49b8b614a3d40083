"""The encoding of a text: what its first bytes tell, what it says of itself, and what to assume where neither helps."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GOOD_PER_BAD = 10
"""Characters beyond ASCII that there must be for each invalid byte, to take a text for UTF-8 with mistakes in it."""

_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})
"""Codecs for names and program text; decoding long texts takes some of them the square of the length."""
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
"""What is meant by a name, which is more than its standard has (WHATWG Encoding, 4.2)."""


def marked(data: bytes) -> str:
    """Return the codec for the byte order mark that some bytes begin with; nothing if there is none."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), "")


def codec_of(told: str) -> str:
    """Return the codec for the encoding that a document says it has; nothing for what is no encoding of documents."""
    told = told[2:] if told[:2].lower() == "x-" else told  # what was put before a name until it was registered
    try:
        b"    ".decode(told, "replace")  # refuses codecs from bytes to bytes, as "hex" and "zlib"
        name = codecs.lookup(told).name
    except (LookupError, ValueError):  # ValueError: there is a zero byte in the name
        return ""
    return "" if name.replace("-", "_") in _NO_CHARSETS else _WIDER.get(name, name)


def decoded(data: bytes, *, whole: bool) -> tuple[str, str]:
    """Return the text that some bytes stand for, and a note if its encoding was a guess.

    Args:
        data: The bytes, from the beginning of the text.
        whole: Whether that is all; otherwise the last character may be incomplete.
    """
    encoding = marked(data) or "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)
    try:
        return decoder().decode(data, whole), ""
    except UnicodeDecodeError:
        text = decoder("replace").decode(data, whole)
    bad = text.count("\ufffd")
    if encoding != "utf-8" or bad * _GOOD_PER_BAD < len(text) - len(text.encode("ascii", "ignore")):
        name = encoding.removesuffix("-sig").upper()
        return text, f"it is not valid {name} in {bad:,} place{'s' * (bad != 1)}"
    try:
        return data.decode("cp1252"), "its encoding is not told and not UTF-8; it was read as Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "its encoding is not told and not UTF-8; it was read as ISO 8859-1"
