"""Which type a file has: by its content first, by its name where that does not tell."""

from __future__ import annotations

import re

from plugin_survey.formats.charset import marked
from plugin_survey.formats.registry import BY_KIND, FORMATS, Format

HEAD = 8192
"""Bytes of the beginning that `kind_of` makes use of."""

EMPTY, TEXT, UNKNOWN = "empty", "text", "unknown"

_BINARY = re.compile(
    b"|".join(b"(?P<k%d>%b)" % (index, one.magic) for index, one in enumerate(FORMATS) if one.magic), re.DOTALL
)
_BY_SUFFIX = {suffix: one.kind for one in reversed(FORMATS) for suffix in one.suffixes}

_NOT_IN_TEXT = bytes({*range(32)} - {*b"\a\b\t\n\f\r\x1b"}) + b"\x7f"
"""Bytes that no text has, in any encoding of one byte per character or in UTF-8."""
_CONTROLS = re.compile("[" + re.escape(_NOT_IN_TEXT.decode("ascii")) + "]")

_CONTENT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(?P<html><!doctype html|<html[\s>])|(?P<xml><\?xml\s)"
    rb"|(?P<eml>(?:Return-Path|Received|Delivered-To|X-Original-To): [^\n]*\n))",
    re.IGNORECASE,
)
_FRONT = 32
"""Bytes by which to tell whether a beginning was lost."""
_LETTERS_PER_ZERO = 4
_MADE_FROM = frozenset(
    {
        ".dtd",
        ".ent",
        ".mod",
        ".in",
        ".header",
        ".footer",
        ".tmpl",
        ".template",
        ".tpl",
        ".j2",
        ".jinja",
        ".jinja2",
        ".mustache",
        ".erb",
        ".php",
    }
)
"""Endings of what others are made from or refer to, which need not follow the rules of those."""


def kind_of(head: bytes, name: str) -> str:
    """Return the short name of a file's type; "empty" and "unknown" are two of them.

    Args:
        head: The beginning of the content: `HEAD` bytes, or all there are.
        name: The last part of its path.
    """
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot >= 0 else ""
    named = BY_KIND[_BY_SUFFIX.get(suffix, UNKNOWN)]
    if not head:
        return EMPTY
    if found := _BINARY.match(head):
        kind = FORMATS[int(found.lastgroup[1:])].kind if found.lastgroup else UNKNOWN
        return named.kind if named.archive == kind else kind
    if is_text(head):
        return _text_kind(head, named.kind if named.textual else "", suffix)
    return named.kind if _may_be(named, head) else UNKNOWN


def is_text(head: bytes) -> bool:
    """Return whether some bytes can be the beginning of a text, which has no control characters."""
    if codec := marked(head):  # by chance, if controls follow it
        return not _CONTROLS.search(head.decode(codec, "replace"))
    # nearly all that is no text has a zero early on, which is found in no time
    return b"\0" not in head and len(head.translate(None, _NOT_IN_TEXT)) == len(head)


def _text_kind(head: bytes, named: str, suffix: str) -> str:
    if named:
        return named
    found = _CONTENT.match(head)
    return str(found.lastgroup) if found and suffix not in _MADE_FROM else TEXT


def _may_be(named: Format, head: bytes) -> bool:
    """Return whether a file of unknown content may be a damaged one of the type that its name says.

    Not every file that begins otherwise is: names are wrong more often than the first bytes are lost.
    """
    if not named.check:
        return False
    if not head[:_FRONT].strip(b"\0"):
        return True  # what a crash leaves of a file whose content had not reached the disk
    if named.textual:
        front = head[:_FRONT].rstrip(b"\0")
        # a few zeros are damage; in UTF-16 without a mark every other byte is one
        return front.count(b"\0") * _LETTERS_PER_ZERO < len(front) and is_text(front.replace(b"\0", b""))
    # something was put in front, as readers of some types allow
    return bool(re.search(named.magic, head[:1024], re.DOTALL))
