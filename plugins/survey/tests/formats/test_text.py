"""Title and text of every type that has some."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from plugin_survey.formats import Bounds, Text
from plugin_survey.formats.registry import FORMATS

from .conftest import CORE, docx, open_xml, zipped

Read = Callable[..., Text]

CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
PACKAGE = (
    '<package xmlns:dc="dc"><metadata><dc:title>A book</dc:title><dc:title>part two</dc:title></metadata><manifest>'
    '<item id="two" href="b%20b.xhtml"/><item id="one" href="../a.xhtml"/><item id="out" href="../../../etc/passwd"/>'
    '</manifest><spine><itemref idref="one"/><itemref idref="out"/><itemref idref="two"/></spine></package>'
)
BOOK = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/b b.xhtml": "<html><title>no</title><p>second chapter</p></html>",
    "a.xhtml": "<html><p>first chapter</p></html>",
}
OPEN_DOCUMENT = {
    "mimetype": "application/vnd.oasis.opendocument.text",
    "content.xml": "<o:document xmlns:o='o' xmlns:t='t'><o:styles>style</o:styles><o:body><t:h>Head</t:h>"
    "<t:p>one<t:s/>two<t:tab/>three<t:line-break/>four</t:p></o:body></o:document>",
    "meta.xml": CORE.replace("dc:title", "title"),
}


def packed(members: dict[str, str]) -> bytes:
    return zipped({name: content.encode() for name, content in members.items()})


def mail(*, html: bool = False) -> bytes:
    message = EmailMessage()
    message["Subject"] = "Größe"
    message["From"] = "a@example.org"
    if html:
        message.set_content("<title>no</title><p>in <b>HTML</b></p>", subtype="html")
    else:
        message.set_content("plain wörds\n")
        message.add_alternative("<p>other words</p>", subtype="html")
    message.add_attachment(b"secret", maintype="application", subtype="octet-stream", filename="attached.bin")
    return message.as_bytes()


PPTX = {
    "slides/slide10.xml": "<s xmlns:a='a'><a:p><a:t>tenth</a:t></a:p></s>",
    "slides/slide2.xml": "<s xmlns:a='a'><a:p><a:t>sec</a:t><a:t>ond</a:t></a:p></s>",
    "notesSlides/notesSlide1.xml": "<s xmlns:a='a'><a:p><a:t>a note</a:t></a:p></s>",
}
XLSX = {
    "workbook.xml": '<w><sheets><sheet name="First"/></sheets></w>',
    "sharedStrings.xml": "<sst><si><t>shared</t></si><si><r><t>ri</t></r><r><t>ch</t></r></si></sst>",
    "worksheets/sheet1.xml": '<w><c t="s"><v>0</v></c><c t="inlineStr"><is><t>inline</t></is></c>'
    '<c t="str"><v>result</v></c><c><v>42</v></c></w>',
}
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# A notebook\n", 'said "so"']},
        {
            "cell_type": "code",
            "source": "print(1)",
            "outputs": [{"data": {"image/png": "AAAA"}, "text": ['no "source": 1']}],
        },
    ]
}
PAGE = """<!DOCTYPE html><html><head><title>A &amp; B</title><style>p{}</style><script>if (a<b) "x"</script></head>
<body><!-- hidden --><h1>Head</h1><p title="a > b">Some <b>bo</b>ld &uuml; text<br>next</p></body></html>"""


@pytest.mark.parametrize(
    ("kind", "content", "title", "text"),
    [
        ("text", b"words\n", "", "words\n"),
        ("text", codecs.BOM_UTF8 + "wörds".encode(), "", "wörds"),
        ("text", "wörds".encode("utf-16"), "", "wörds"),
        ("text", "wörds".encode("utf-32"), "", "wörds"),
        ("text", b"a\0b\x1bc\td", "", "a b c\td"),
        ("text", "a\x9b31mb\x85c\x7fd".encode(), "", "a 31mb c d"),
        ("markdown", b"---\ntitle: 'From front'\n---\n# Other\ntext", "From front", None),
        ("markdown", b"\n# Head #\ntext", "Head", None),
        ("markdown", b"Head\n====\ntext", "Head", None),
        ("markdown", b"no heading", "", "no heading"),
        ("html", PAGE.encode(), "A & B", "Head\nSome bold ü text\nnext"),
        ("html", '<meta charset="cp1251"><p>Б'.encode("cp1251"), "", "Б"),
        ("html", b"<script src='a.js'/><title/><style/><p>after tags that XHTML closes at once", "", None),
        ("html", b"a<!-->b<!--->c<!-- d > --!>e<!-- f -- g --><p>h", "", "abce\nh"),
        ("html", b"a<script>b</script >c<STYLE>d</style>e<template>f</template>g<!-- h", "", "a\nc\ne\ng"),
        (
            "html",
            b"<p>&lt;b&gt; &#x9b;31m &#0; &notin; &amp;amp; &nonsense;",
            "",
            "<b> \u203a31m \ufffd \u2209 &amp; &nonsense;",
        ),
        ("csv", b"a,b\n", "", "a,b\n"),
        ("json", b'{"a": ["b\\u00fc", 1, "\\ud800 x"]}', "", "a\nbü\nx\n"),
        ("xml", b"<a><title>T</title><b c='no'>one <i>two</i></b></a>", "T", "T\none\ntwo\n"),
        (
            "xml",
            b"<a><title>A <i>large</i> one</title><b><title>two</title></b></a>",
            "A large one",
            "A\nlarge\none\ntwo",
        ),
        ("xml", b"<a><title/><title>T</title></a>", "", "T"),
        ("ipynb", json.dumps(NOTEBOOK).encode(), "A notebook", '# A notebook\nsaid "so"\n\nprint(1)'),
        ("docx", docx(), "A & B", "Grüße an\talle\nsecond\na footnote"),
        ("xlsx", open_xml("xl", XLSX), "A & B", "First\nshared\nrich\ninline\nresult"),
        ("pptx", open_xml("ppt", PPTX), "A & B", "second\ntenth\na note"),
        ("odt", packed(OPEN_DOCUMENT), "A & B", "Head\none two\tthree\nfour"),
        ("epub", packed(BOOK), "A book", "first chapter\nsecond chapter"),
        ("epub", packed({name: BOOK[name] for name in ("mimetype", "a.xhtml")}), "", "first chapter"),
        ("eml", mail(), "Größe", "From: a@example.org\nSubject: Größe\n\nplain wörds\n\nattached.bin"),
        ("eml", mail(html=True), "Größe", "From: a@example.org\nSubject: Größe\n\nin HTML\n\nattached.bin"),
    ],
)
def test_title_and_text(kind: str, content: bytes, title: str, text: str | None, text_in: Read) -> None:
    found = text_in(content, kind)
    if text is not None:
        lines = [line.strip() for line in found.text.splitlines() if line.strip()]
        assert lines == [line.strip() for line in text.splitlines() if line.strip()]
    assert (found.title, found.truncated, found.note) == (title, False, "")


def test_every_type_with_text_is_tried_above() -> None:
    tried = {"text", "markdown", "html", "csv", "json", "xml", "ipynb", "docx", "xlsx", "pptx", "odt", "epub", "eml"}
    assert {one.kind for one in FORMATS if one.read} == tried | {"ods", "odp"}  # which are read as odt is


SLIDES = {
    "presentation.xml": "<p xmlns:r='r'><l><sldId id='256' r:id='rId3'/><sldId id='257' r:id='rId2'/>"
    "<sldId id='258' r:id='rId9'/><sldId id='259' r:id='rId8'/></l></p>",
    "_rels/presentation.xml.rels": "<R><Relationship Id='rId2' Target='slides/slide2.xml'/>"
    "<Relationship Id='rId3' Target='/ppt/slides/slide10.xml'/>"
    "<Relationship Id='rId8' Target='../../../etc/passwd'/>"
    "<Relationship Id='rId9' Target='slides/slide3.xml' TargetMode='External'/></R>",
    "slides/slide3.xml": "<s xmlns:a='a'><a:p><a:t>hidden from the list</a:t></a:p></s>",
}
SHEETS = {
    "workbook.xml": "<w xmlns:r='r'><sheets><sheet name='First' sheetId='1' r:id='b'/>"
    "<sheet name='Second' r:id='a'/></sheets></w>",
    "_rels/workbook.xml.rels": "<R><Relationship Id='a' Target='worksheets/one.xml'/>"
    "<Relationship Id='b' Target='worksheets/two.xml'/></R>",
    "worksheets/one.xml": "<w><c t='inlineStr'><is><t>of second</t></is></c></w>",
    "worksheets/two.xml": "<w><c t='inlineStr'><is><t>of first</t></is></c></w>",
}


def test_slides_and_sheets_come_in_the_order_in_which_they_are_shown(text_in: Read) -> None:
    slides = text_in(open_xml("ppt", PPTX | SLIDES), "pptx")
    assert ([line.strip() for line in slides.text.splitlines()], slides.note) == (
        ["tenth", "second", "hidden from the list", "a note"],
        "",
    )
    sheets = text_in(open_xml("xl", SHEETS), "xlsx")
    assert ([line for line in sheets.text.splitlines() if line], sheets.note) == (
        ["First", "Second", "of first", "of second"],
        "",
    )


def test_a_title_without_end_does_not_cost_the_text(text_in: Read) -> None:
    long = CORE.replace("A &amp; B", "ab " * 4_000_000).encode()
    read = text_in(zipped({"word/document2.xml": b"<w><t>words</t></w>", "docProps/core.xml": long}), "docx")
    assert (read.text, read.title[:8], len(read.title)) == ("words", "ab ab ab", 200)


def test_what_follows_a_tag_that_xhtml_closes_at_once_is_read(text_in: Read) -> None:
    chapter = "<html><head><title/><script src='a.js' /></head><p>first</p><style type='a'/>second</html>"
    assert text_in(chapter.encode(), "html").text.split() == ["first", "second"]
    book = BOOK | {"a.xhtml": chapter}
    assert text_in(packed(book), "epub").text.split() == ["first", "second", "second", "chapter"]


def mixed(*parts: bytes) -> bytes:
    body = b"".join(b"\n--x\n" + part for part in parts)
    return b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/mixed; boundary=x\n" + body + b"\n--x--\n"


ALTERNATIVES = (
    b"Content-Type: multipart/alternative; boundary=y\n\n--y\nContent-Type: text/plain\n\nthe plain one\n"
    b"--y\nContent-Type: text/html\n\n<p>the <b>other</b> one\n--y--\n"
)
RELATED = (
    b"Content-Type: multipart/alternative; boundary=y\n\n--y\nContent-Type: multipart/related; boundary=z\n\n--z\n"
    b"Content-Type: text/html\n\n<p>in a frame\n--z--\n--y--\n"
)
HTML = b"Content-Type: text/html\n\n<title>no</title><p>the text"
FOOTER = b"Content-Type: text/plain\n\nlist footer"
FORWARDED = b"Content-Type: message/rfc822\n\nSubject: inner\n\nforwarded words"
NOTES = b"Content-Type: text/plain\nContent-Disposition: attachment; filename*=utf-8''n%C3%B6tes.txt\n\nnot shown"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (mixed(HTML, FOOTER), ["the text", "list footer"]),
        (mixed(ALTERNATIVES, FOOTER), ["the plain one", "list footer"]),
        (mixed(RELATED, NOTES), ["in a frame", "nötes.txt"]),
        (mixed(FORWARDED, NOTES), ["forwarded words", "nötes.txt"]),
        (b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n" + b"the boundary of it\n" * 60, ["the boundary of it"] * 60),
        (b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\nContent-Transfer-Encoding: base64\n\nd29yZHM=", ["words"]),
        (b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Transfer-Encoding: quoted-printable\n\nso=\nme", ["some"]),
        (b"Subject: =?latin1?q?Gr=FC=DFe?=\n\nf\xfcr dich", ["für dich"]),
    ],
)
def test_of_a_mail_all_is_read_that_is_shown(content: bytes, lines: list[str], text_in: Read) -> None:
    read = text_in(content, "eml")
    assert [line.strip() for line in read.text.splitlines() if line.strip()] == ["Subject: Grüße", *lines]
    assert (read.title, read.note) == ("Grüße", "")


def test_a_guessed_encoding_is_noted(text_in: Read) -> None:
    windows = text_in("für „dich“".encode("cp1252"), "text")
    assert (windows.text, "Windows-1252" in windows.note) == ("für „dich“", True)
    latin = text_in(b"\x81\xfc", "text")
    assert (latin.text, "8859-1" in latin.note) == (" ü", True)
    broken = text_in(codecs.BOM_UTF8 + b"a\xffb", "text")
    assert (broken.text, broken.note) == ("a\ufffdb", "it is not valid UTF-8 in 1 place")


@pytest.mark.parametrize("kind", ["text", "markdown", "html", "csv", "json", "xml", "eml"])
def test_text_is_cut_to_the_bytes_wanted_between_characters(kind: str, text_in: Read) -> None:
    content = "ü" * 5000
    framed = {"json": f'["{content}"]', "xml": f"<a>{content}</a>", "eml": f"Subject: x\n\n{content}"}.get(
        kind, content
    )
    found = text_in(framed.encode(), kind, Bounds(text_bytes=1001))
    assert 500 < len(found.text.encode()) <= 1001
    assert found.truncated
    assert "\ufffd" not in found.text


def test_what_is_readable_of_a_damaged_document_is_read_and_noted(text_in: Read) -> None:
    cut = text_in(b"<a><b>good</b><c>", "xml")
    assert (cut.text, cut.note) == ("good\n", "it is cut off in line 1: no element found")
    parts = {
        "document.xml": "<w:d xmlns:w='w'><w:t>good</w:t>",
        "footnotes.xml": "<w:d xmlns:w='w'><w:t> note</w:t></w:d>",
    }
    office = text_in(open_xml("word", parts), "docx")
    assert (office.text, office.note) == (
        "good note",
        "member 'word/document.xml': it is cut off in line 1: no element found",
    )
    assert text_in(b"no archive", "docx").note.startswith("it is cut off")
