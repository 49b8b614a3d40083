"""Mails (RFC 5322 with MIME): who wrote to whom about what, the text, and the names of what is attached."""

from __future__ import annotations

import email.errors
import email.header
import email.message
import email.parser
import re
from collections.abc import Iterator

from plugin_survey.formats.charset import codec_of, decoded
from plugin_survey.formats.finding import Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.source import Source
from plugin_survey.formats.web import add_page

_LONGEST_HEADER = 2000
"""Characters; taking encoded words apart takes time that grows with the square of the length."""
_MOST_BOUNDARIES = 50
"""Each level of nesting has one, and the parser compares each line with those of all levels."""
_BOUNDARY = re.compile(rb"\bboundary\*?[0-9]{0,3}\*?[ \t]{0,9}=", re.IGNORECASE)
_LONGEST_PARAMETERS = 8 << 10
"""Bytes; the parser counts the quotes before each semicolon anew."""
_PARAMETERS = re.compile(
    rb"(?:^|[\r\n])Content-(?:Type|Disposition)[ \t]*+:[^\r\n]*+(?:[\r\n]++[ \t][^\r\n]*+)*+", re.IGNORECASE
)
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, email.errors.MessageError)
"""What the parser of the standard library raises on one or the other malformed mail."""


def read_mail(source: Source, gathered: Gathered) -> None:
    """Read a mail; of several versions of one text the plain one, else that in HTML."""
    # the parser keeps every line as an object, so it gets no more than there is text wanted
    data = source.read(0, gathered.bounds.text_bytes)
    gathered.truncated = len(data) < source.size
    if len(_BOUNDARY.findall(data)) > _MOST_BOUNDARIES:
        raise Unchecked(f"its parts are nested deeper than {_MOST_BOUNDARIES} levels, or may be")
    if any(len(found[0]) > _LONGEST_PARAMETERS for found in _PARAMETERS.finditer(data)):
        raise Unchecked(f"one of its headers is longer than {_LONGEST_PARAMETERS:,} bytes")
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
    for part in _shown(message):
        if part.get_content_type() == "text/html":
            title = gathered.title
            gathered.add("\n")
            add_page(_content(part), gathered)
            gathered.title = title
        else:
            gathered.add("\n" + _content(part))
    for part in message.walk():
        if name := part.get_filename():
            gathered.add(f"\n{' '.join(name.split())}")


def _shown(part: email.message.Message) -> Iterator[email.message.Message]:
    """Yield the parts that a reader shows: all that are text and no files, but one of alternatives."""
    if not part.is_multipart():
        if part.get_content_type() in ("text/plain", "text/html") and not part.get_filename():
            yield part
        return
    found = [list(_shown(one)) for one in part.get_payload() if isinstance(one, email.message.Message)]
    if part.get_content_type() == "multipart/alternative":
        plain = [one for one in found if one and all(each.get_content_type() == "text/plain" for each in one)]
        found = (plain or [one for one in found if one])[:1]
    for one in found:
        yield from one


def _content(part: email.message.Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    codec = codec_of(part.get_content_charset() or "")
    return data.decode(codec, "replace") if codec else decoded(data, whole=True)[0]
