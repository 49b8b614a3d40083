"""Mails (RFC 5322 with MIME): who wrote to whom about what, the text, and the names of what is attached."""

from __future__ import annotations

import email.errors
import email.header
import email.message
import email.parser
from collections.abc import Iterator

from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.source import Source
from plugin_survey.formats.web import shown

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, email.errors.MessageError)
"""What the parser of the standard library raises on one or the other malformed mail."""


def read_mail(source: Source, gathered: Gathered) -> None:
    """Read a mail; of several versions of its text the plain one, else that in HTML."""
    # the parser keeps every line as an object, so it gets no more than there is text wanted
    data = source.read(0, gathered.bounds.text_bytes)
    gathered.truncated = len(data) < source.size
    try:
        message = email.parser.BytesParser().parsebytes(data)
        gathered.title = _header(message, "Subject")
        for name in _HEADERS:
            if value := _header(message, name):
                gathered.add(f"{name}: {value}\n")
        for piece in _bodies(message):
            gathered.add("\n" + piece)
    except _MALFORMED as error:
        gathered.note = f"it is not a valid mail: {ascii(str(error))[1:-1][:100]}"


def _header(message: email.message.Message, name: str) -> str:
    raw = str(message.get(name, ""))
    try:
        return " ".join(str(email.header.make_header(email.header.decode_header(raw))).split())
    except _MALFORMED:
        return " ".join(raw.split())


def _bodies(message: email.message.Message) -> Iterator[str]:
    parts = [part for part in message.walk() if not part.is_multipart()]
    plain = [part for part in parts if part.get_content_type() == "text/plain" and not part.get_filename()]
    pages = [part for part in parts if part.get_content_type() == "text/html" and not part.get_filename()]
    for part in plain:
        yield _content(part)
    if not plain:
        for part in pages:
            yield shown(_content(part))[1]
    for part in parts:
        if name := part.get_filename():
            yield name


def _content(part: email.message.Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return data.decode("latin-1")
