"""Encodings: what a document says of its own is used where it can be, and never trusted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plugin_survey.formats import DAMAGED, OK, UNCHECKED, Finding, Text
from plugin_survey.formats.charset import codec_of

Check = Callable[..., Finding]
Read = Callable[..., Text]

NO_ENCODINGS = [
    "zlib",
    "bz2",
    "hex",
    "base64",
    "quopri",
    "uu",
    "rot13",
    "idna",
    "punycode",
    "unicode_escape",
    "undefined",
]
"""What Python has under the same roof as encodings of texts."""


@pytest.mark.parametrize("told", [*NO_ENCODINGS, "", "nonsense", "a\0b", "../../os", "x-" * 1000])
def test_what_is_no_encoding_of_texts_is_not_used(told: str, found_in: Check, text_in: Read) -> None:
    assert codec_of(told) == ""
    page = text_in(b"<meta charset=%b><p>gr\xfc\xdfe" % told.encode(), "html")
    assert page.text.strip() == "grüße"
    mail = text_in(b'Content-Type: text/plain; charset="%b"\n\ngr\xfc\xdfe' % told.encode(), "eml")
    assert "grüße" in mail.text
    if told.isidentifier():
        document = b"<?xml version='1.0' encoding='%b'?><a>x</a>" % told.encode()
        finding = found_in(document, "xml")
        assert (finding.verdict, told in finding.problem) == (UNCHECKED, True)
        assert text_in(document, "xml").note == finding.problem


def test_decoding_never_takes_the_square_of_the_length(found_in: Check, text_in: Read) -> None:
    # Punycode puts every character into the middle of all that it has; this would take minutes
    content = b"a" * 300_000 + b"-" + b"zz9" * 1_000_000
    assert text_in(b"<meta charset=punycode>\xff" + content, "html").text
    assert text_in(b"Content-Type: text/plain; charset=punycode\n\n" + content, "eml").text
    assert found_in(b"<?xml version='1.0' encoding='punycode'?><a>" + content, "xml").verdict == UNCHECKED


@pytest.mark.parametrize(
    ("told", "codec", "words"),
    [
        ("shift_jis", "cp932", "①日本"),
        ("x-sjis", "cp932", "日本"),
        ("EUC-KR", "cp949", "똠방각하"),
        ("gb2312", "gb18030", "中国€"),
        ("iso-8859-1", "cp1252", "“dich”"),
        ("windows-1251", "cp1251", "Привет"),
        ("iso-2022-jp", "iso2022_jp", "日本語"),
    ],
)
def test_names_mean_what_programs_mean_by_them(
    told: str, codec: str, words: str, found_in: Check, text_in: Read
) -> None:
    data, name = words.encode(codec), told.encode()
    page = text_in(b"<meta charset='%b'><p>%b" % (name, data), "html")
    assert (page.text.strip(), page.note) == (words, "")
    page = text_in(b"<?xml version='1.0' encoding='%b'?><html><p>%b</p></html>" % (name, data), "html")
    assert (page.text.strip(), page.note) == (words, "")
    assert words in text_in(b"Content-Type: text/plain; charset=%b\n\n%b" % (name, data), "eml").text
    if codec != "cp1252":  # which expat reads as its standard says
        document = b"<?xml version='1.0' encoding='%b'?><a>%b</a>" % (name, data)
        assert found_in(document, "xml")[1:3] == (OK, "")
        assert text_in(document, "xml").text == words + "\n"


def test_utf8_wins_over_another_encoding_that_a_page_says(text_in: Read) -> None:
    for told in (b"iso-8859-1", b"utf-16", b"utf-8"):
        assert text_in(b"<meta charset=%b><p>" % told + "grüße".encode(), "html").text.strip() == "grüße"
    assert text_in(b"<meta charset=utf-16><p>gr\xfc\xdfe", "html").text.strip() == "grüße"


def test_a_declaration_left_as_it_was_before_a_conversion_is_no_damage(found_in: Check) -> None:
    finding = found_in(b"<?xml version='1.0' encoding='utf-16'?><a/>", "xml")
    assert (finding.verdict, "encoding" in finding.problem) == (UNCHECKED, True)
    assert found_in("<?xml version='1.0' encoding='utf-16'?><a>".encode("utf-16"), "xml").verdict == DAMAGED


def test_one_bad_byte_does_not_make_a_long_text_another_encoding(text_in: Read) -> None:
    good = "größer als das Übrige, öfter fällig: süß " * 5
    read = text_in(good.encode() + b"\xff" + good.encode(), "text")
    assert read.text.startswith("größer")
    assert read.note == "it is not valid UTF-8 in 1 place"
    cut = text_in((good + "ü").encode()[:-1], "text")  # cut off within a character
    assert cut.text == good + "\ufffd"
    for encoding in ("cp1251", "koi8_r", "cp1252"):
        assert "not UTF-8; it was read as" in text_in("größe".encode(encoding, "ignore") + b"\xff\xfe\xfa", "text").note
