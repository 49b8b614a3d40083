"""Mails (RFC 5322 with MIME): who wrote to whom about what, the text, and the names of what is attached."""

from __future__ import annotations

import email.errors
import email.header
import email.message
import email.parser

from plugin_survey.formats.charset import codec_of, decoded
from plugin_survey.formats.finding import Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.source import Source
from plugin_survey.formats.web import add_page

_LONGEST_HEADER = 2000
"""Characters; taking encoded words apart takes time that grows with the square of the length."""
_MOST_BOUNDARIES = 50
"""Each level of nesting has one, and the parser compares each line with those of all levels."""
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, email.errors.MessageError)
"""What the parser of the standard library raises on one or the other malformed mail."""


def read_mail(source: Source, gathered: Gathered) -> None:
    """Read a mail; of several versions of its text the plain one, else that in HTML."""
    # the parser keeps every line as an object, so it gets no more than there is text wanted
    data = source.read(0, gathered.bounds.text_bytes)
    gathered.truncated = len(data) < source.size
    if data.lower().count(b"boundary") > _MOST_BOUNDARIES:
        raise Unchecked(f"its parts are nested deeper than {_MOST_BOUNDARIES} levels, or may be")
    try:
        message = email.parser.BytesParser().parsebytes(data)
        gathered.title = _header(message, "Subject")
        for name in _HEADERS:
            if value := _header(message, name):
                gathered.add(f"{name}: {value}\n")
        _add_bodies(message, gathered)
    except _MALFORMED as error:
        gathered.note = f"it is not a valid mail: {ascii(str(error))[1:-1][:100]}"


def _header(message: email.message.Message, name: str) -> str:
    raw = str(message.get(name, ""))[:_LONGEST_HEADER]
    try:
        return " ".join(str(email.header.make_header(email.header.decode_header(raw))).split())
    except _MALFORMED:
        return " ".join(raw.split())


def _add_bodies(message: email.message.Message, gathered: Gathered) -> None:
    parts = [part for part in message.walk() if not part.is_multipart()]
    bodies = [part for part in parts if not part.get_filename()]
    plain = [part for part in bodies if part.get_content_type() == "text/plain"]
    for part in plain:
        gathered.add("\n" + _content(part))
    for part in bodies if not plain else []:
        if part.get_content_type() == "text/html":
            title = gathered.title
            add_page(_content(part), gathered)
            gathered.title = title
    for part in parts:
        if name := part.get_filename():
            gathered.add(f"\n{name}")


def _content(part: email.message.Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    codec = codec_of(part.get_content_charset() or "")
    return data.decode(codec, "replace") if codec else decoded(data, whole=True)[0]
