"""Types: recognised by content first, by name second; and what is odd about good files of single types."""

from __future__ import annotations

import codecs
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_survey.formats import DAMAGED, HEAD, OK, UNCHECKED, Bounds, Finding, check, kind_of, text
from plugin_survey.formats.registry import FORMATS

from .conftest import Samples, database, docx, pdf, pdf_with_stream, png, png_chunk, sound, zipped

Check = Callable[..., Finding]


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"", "empty.png", "empty"),
        (b"hello", "README", "text"),
        (b"hello", "page.HTML", "html"),
        (b"<!DOCTYPE html><html>", "page", "html"),
        (b"\n<?xml version='1.0'?><a/>", "feed", "xml"),
        (b"<?xml version='1.0'?><html/>", "page.xhtml", "html"),
        (b"<?xml version='1.0'?>", "made.xml.in", "text"),
        (b"<?xml version='1.0'?><!ELEMENT a ANY>", "rules.dtd", "text"),
        (b"Received: from here\n", "1234", "eml"),
        (b"<html>an error page</html>", "picture.png", "html"),
        (b"\0" * 100, "picture.png", "png"),
        (b"\0" * 100, "data.json", "json"),
        (b"\0" * 100, "data.txt", "unknown"),
        (b"\0" * 100, "data", "unknown"),
        (codecs.BOM_UTF16_LE + "wide".encode("utf-16-le"), "notes.txt", "text"),
        (b"PK\x03\x04" + b"\0" * 40, "file.docx", "docx"),
        (b"PK\x03\x04" + b"\0" * 40, "file.png", "zip"),
        (b"\x7fELF\x02", "program", "elf"),
        (b"%PDF-1.7", "x.txt", "pdf"),
        (b"\x01\x02\x03" * 99, "picture.png", "unknown"),
        (b"\x01\x02\x03" * 99, "data.json", "unknown"),
        (b'{"a": 1' + bytes(99), "data.json", "json"),
        (b"\x01junk\n%PDF-1.4", "x.pdf", "pdf"),
        (b"<?xml version='1.0'?>", "notes.txt", "text"),
        (b"BZh, said the man", "x", "text"),
        ("größe".encode("latin-1"), "größe", "text"),
        (b"a,b\n1,\0\n", "small.csv", "csv"),
        (b"a,b\n1,2\n" + bytes(30), "small.csv", "csv"),
        ("a,b\n1,2\n".encode("utf-16-le"), "wide.csv", "unknown"),
        ("a,b\n1,2\n".encode("utf-32"), "wide.csv", "csv"),
        (codecs.BOM_UTF8 + b"a,b", "marked", "text"),
        (codecs.BOM_UTF8 + b"%PDF-1.4\n\0\1", "marked.pdf", "pdf"),
        (b"\xff\xfe\x12\xaf\0\0\4\0" * 9, "film", "unknown"),
        (b"\xff\xfea\0\0\xd8b\0" + b"c", "one bad character, and half of one", "text"),
        (b"a\0\1\2" * 20, "binary.csv", "unknown"),
        (b"MZ, said the man, and went on to say more than sixty characters of it", "notes", "text"),
        (b"MZ\x90\0\3" + bytes(60), "program", "pe"),
        (b"OTTO said the same", "notes", "text"),
        (b"OTTO\0\x0b\0\x80", "face", "font"),
    ],
)
def test_a_type_is_told_by_content_first_and_by_name_second(head: bytes, name: str, kind: str) -> None:
    assert kind_of(head, name) == kind


def test_office_documents_are_told_from_archives_by_their_content() -> None:
    assert kind_of(docx()[:HEAD], "no name") == "docx"
    epub = zipped({"mimetype": b"application/epub+zip", "a": b"b"})
    assert kind_of(epub[:HEAD], "no name") == "epub"
    odt = zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "a": b"b"})
    assert kind_of(odt[:HEAD], "no name") == "odt"
    assert kind_of(zipped({"word/a": b"b"})[:HEAD], "no name") == "zip"


def test_names_and_suffixes_of_types_are_unique() -> None:
    kinds = [one.kind for one in FORMATS]
    suffixes = [suffix for one in FORMATS for suffix in one.suffixes]
    assert len(kinds) == len(set(kinds))
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def test_what_has_no_check_or_text_says_so_without_opening_the_file(tmp_path: Path) -> None:
    assert check(tmp_path / "absent", "elf") == Finding("elf", UNCHECKED)
    assert check(tmp_path / "absent", "nonsense") == Finding("nonsense", UNCHECKED)
    assert text(tmp_path / "absent", "png").text == ""


def test_only_errors_of_the_system_are_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "absent", "png")
    with pytest.raises(OSError, match="not a regular file"):
        check(tmp_path, "png")
    os.mkfifo(tmp_path / "pipe")  # opened without O_NONBLOCK this would wait for ever
    with pytest.raises(OSError, match="not a regular file"):
        text(tmp_path / "pipe", "text")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(OSError, match="symbolic links"):
        check(tmp_path / "link", "png")


def test_names_that_are_not_utf8_can_be_checked(tmp_path: Path) -> None:
    for name in (b"\xff\xfe?#%.sqlite", b"a b%20c.sqlite"):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            file.write(database())
        assert check(path, "sqlite").verdict == OK


def test_png_images_of_all_layouts_are_ok(found_in: Check) -> None:
    assert found_in(png(8, 8, interlaced=True), "png").verdict == OK
    assert found_in(png() + b"appended", "png").verdict == OK
    assert found_in(png(rows=19), "png").problem == "its picture has 1,159 bytes instead of 1,220"
    apple = png().replace(b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + png_chunk(b"CgBI", b"1234"))
    assert found_in(apple, "png").verdict == UNCHECKED


def test_jpeg_images_with_fillers_and_appended_data_are_ok(found_in: Check, whole: dict[str, bytes]) -> None:
    image = whole["jpeg"]
    assert found_in(image + b"a film", "jpeg").verdict == OK
    assert found_in(image[:2] + b"\xff\xff" + image[2:], "jpeg").verdict == OK
    assert found_in(b"\xff\xd8\xff\xd9", "jpeg").verdict == DAMAGED


def test_a_jpeg_image_with_stray_bytes_that_readers_pass_over_is_unchecked(found_in: Check, whole: Samples) -> None:
    image = whole["jpeg"]
    after = 4 + int.from_bytes(image[4:6], "big")
    for stray in (b"hello", b"\xff\0\0\2", bytes(70_000)):
        found = found_in(image[:after] + stray + image[after:], "jpeg")
        assert (found.verdict, f"byte {after:,}" in found.problem) == (UNCHECKED, True)
    assert found_in(image[:after] + b"hello" + image[after:-1], "jpeg").verdict == DAMAGED
    assert found_in(image[:after] + b"hello", "jpeg").verdict == DAMAGED


def test_a_jpeg_image_without_losses_is_unchecked(found_in: Check) -> None:
    image = bytes.fromhex("ffd8fff7000b0800080008010111 00ffda0008010100000000 7f012aff7fd9ffd9")
    found = found_in(image, "jpeg")
    assert (found.verdict, "JPEG-LS" in found.problem) == (UNCHECKED, True)


def test_pdf_documents_of_both_forms_are_ok(found_in: Check) -> None:
    for document in (pdf(), pdf(front=b"junk\n"), pdf() + b"\r\n", pdf_with_stream(), pdf_with_stream(deflated=False)):
        assert found_in(document, "pdf")[1:4] == (OK, "", 4 + (b"/XRef" in document))


def stream_table(dictionary: bytes, rows: bytes) -> bytes:
    """A document of nothing but its table of objects."""
    head = b"%PDF-1.5\n"
    table = b"1 0 obj\n<<%b/Length %d>>\nstream\n%b\nendstream\nendobj\n" % (dictionary, len(rows), rows)
    return head + table + b"startxref\n%d\n%%%%EOF" % len(head)


def test_an_object_that_a_pdf_table_has_at_byte_0_is_not_there(found_in: Check) -> None:
    rows = bytes([0, 0, 0, 1, 9, 0, 1, 0, 0])
    assert found_in(stream_table(b"/Size 3/W[1 1 1]", rows), "pdf")[1:4] == (OK, "", 3)
    assert found_in(stream_table(b"/Size 3/W[1 1 1]", rows[:-2] + b"\1\0"), "pdf").verdict == DAMAGED


def test_numbers_of_any_length_in_a_pdf_table_are_damage(found_in: Check) -> None:
    many = b"9" * 5000  # more digits than Python turns into a number
    rows = bytes([1, 9, 0])
    for dictionary in (
        b"/Size 1/W[1 1 %b]" % many,
        b"/Size 3/W[1 1 1]/Index[%b 1]" % many,
        b"/Size %b/W[1 1 1]" % many,
    ):
        assert found_in(stream_table(dictionary, rows), "pdf").verdict == DAMAGED


def test_a_pdf_document_changed_in_length_is_damaged(found_in: Check) -> None:
    for document in (pdf(), pdf_with_stream()):
        moved = document.replace(b"/Catalog", b"/Catalogue")
        assert found_in(moved, "pdf").verdict == DAMAGED
    # what a transfer as text does to line ends
    assert found_in(pdf().replace(b"\n", b"\r\n"), "pdf").verdict == DAMAGED


def test_a_pdf_document_updated_and_then_cut_off_is_damaged(found_in: Check) -> None:
    assert found_in(pdf() + b"\n4 0 obj\n<<>>\nendobj\nxref\n4 1\n", "pdf").verdict == DAMAGED


@pytest.mark.parametrize(
    "good",
    [
        '// settings\n{"a": 1, /* b */ "c": [1, 2,],}\n',
        '{"a": 1}\n{"a": 2}\n',
        "[NaN, -Infinity]",
        '"a string"',
        "-1.5e+3",
        "[" * 900 + "]" * 900,
        '["tab\there"]',
    ],
)
def test_json_as_programs_write_it_is_ok(good: str, found_in: Check) -> None:
    for content in (
        good.encode(),
        codecs.BOM_UTF8 + good.encode(),
        good.encode("utf-16"),
        (" " * (1 << 21) + good).encode(),
    ):
        assert found_in(content, "json")[1:3] == (OK, "")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "  ",
        "{",
        '{"a"',
        '{"a":',
        '{"a":1',
        '["a',
        "[1 2]",
        "[1,,2]",
        "{1:2}",
        "[tru]",
        "]",
        "[}",
        "\0",
        '["\0"]',
        "[01]",
    ],
)
def test_json_that_is_none_is_damaged(bad: str, found_in: Check) -> None:
    assert found_in(bad.encode(), "json").verdict == DAMAGED
    assert found_in((" " * (1 << 21) + bad).encode(), "json").verdict == DAMAGED


def test_what_may_be_a_template_is_unchecked(found_in: Check) -> None:
    assert found_in(b'{"name": {{ name }}}', "json").verdict == UNCHECKED
    assert found_in(b"<a>{% if b %}<b>{% endif %}</a>", "xml").verdict == UNCHECKED
    # but one that is used as such is complete
    assert found_in(b'{"text": "{{ number }} of', "json").verdict == DAMAGED
    assert found_in(b"<a>{{ b }}<b>", "xml").verdict == DAMAGED


def test_large_json_gets_the_same_verdict_as_small(found_in: Check) -> None:
    value: list[object] = [
        {"name": f"ü{number}", "list": [number, None, {"x": [[]]}], "escaped": '\\"\n'} for number in range(30_000)
    ]
    content = json.dumps(value).encode()
    assert len(content) > 1 << 20
    assert found_in(content, "json").verdict == OK
    assert found_in(content[:-1], "json").verdict == DAMAGED
    assert found_in(content.replace(b'{"name": "\\u00fc29999"', b'{"name" "\\u00fc29999"'), "json").verdict == DAMAGED


def test_json_with_one_endless_value_is_unchecked(found_in: Check) -> None:
    assert found_in(b'["' + b"x" * (5 << 20) + b'"]', "json", Bounds(piece_bytes=1 << 20)).verdict == UNCHECKED
    deep = b"[" * 5000 + b"]" * 5000 + b" " * (1 << 20)  # a small file goes through `json`, whose limit is its own
    assert found_in(deep, "json").verdict == UNCHECKED


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (b"a,b\n1,2\n", OK),
        (b"a;b\r\n1;2", OK),
        (b"", OK),
        (b"\xff\xfea\0,\0b\0\n\0", OK),
        (b'a,b\n"1\n2",3\n', OK),
        (b"a,b\n1\n2,3\n", UNCHECKED),
        (b'word\n"quoted\nother\nthird\n', UNCHECKED),
        (b'a,b\n1,"2', DAMAGED),
        (b"a,b,c\n1,2,3\n4,5", DAMAGED),
        (b"a,b\n1,\0\0\0\0", DAMAGED),
        (b"a,b\n" + b"x" * (2 << 20), UNCHECKED),
        (b"a,b\rc,d\r", UNCHECKED),
        (b"a,b\n1,2\n\x1f\n3", UNCHECKED),
        (b"a\n\x1f\n" + b"1\n" * 5 + b'"2', DAMAGED),
    ],
)
def test_tables(content: bytes, verdict: str, found_in: Check) -> None:
    assert found_in(content, "csv").verdict == verdict


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (b"<a>&nbsp;</a>", UNCHECKED),
        (b'<!DOCTYPE a [<!ENTITY ns "http://x">]><a b="&ns;">&ns;</a>', OK),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&x;</a>', OK),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', OK),
        ("<?xml version='1.0' encoding='gb2312'?><a>中</a>".encode("gb2312"), OK),
        ("<?xml version='1.0' encoding='cp1251'?><a>Б</a>".encode("cp1251"), OK),
        ("<a>wide</a>".encode("utf-16"), OK),
        (b"<?xml version='1.0' encoding='nonsense'?><a/>", UNCHECKED),
        (b"<?xml version='1.0' encoding='hex'?><a/>", UNCHECKED),
        (b"<?xml version='1.0'?>\n<!DOCTYPE a>", UNCHECKED),
        (b"<a><b></a>", DAMAGED),
        (b"<a>\0</a>", DAMAGED),
        (b"<a>\xff</a>", DAMAGED),
        (b"<a/><b/>", DAMAGED),
        (b"<a>" * 2000, UNCHECKED),
        (b"<a b='" + b"x" * (6 << 20) + b"'/>", UNCHECKED),
    ],
)
def test_xml(content: bytes, verdict: str, found_in: Check) -> None:
    assert found_in(content, "xml").verdict == verdict


def test_sound_of_all_forms_is_ok(found_in: Check) -> None:
    content = sound()
    assert found_in(content, "wav").verdict == OK
    assert found_in(content + b"tags of another program", "wav").verdict == OK
    for size in (0, 0x7FFF_F024, 0x8000_0024, 0xFFFF_FFFF):
        piped = content[:4] + size.to_bytes(4, "little") + content[8:]
        assert found_in(piped, "wav").verdict == UNCHECKED
    header = struct.pack("<4sI3Q", b"ds64", 28, len(content), 2000, 1000) + bytes(4)
    large = b"RF64\xff\xff\xff\xffWAVE" + header + content[12:36] + b"data\xff\xff\xff\xff" + content[44:]
    assert found_in(large, "wav").verdict == OK
    assert found_in(large[:-10], "wav").verdict == DAMAGED
    odd = content[:4] + struct.pack("<I", 44) + content[8:40] + struct.pack("<I", 7) + b"1234567\0"
    assert found_in(odd, "wav").verdict == OK
    assert found_in(odd[:-1], "wav").verdict == OK  # without the byte that makes its length even
    assert found_in(odd[:-2], "wav").verdict == DAMAGED
    assert found_in(content[:-1], "wav").verdict == DAMAGED
    big = b"RIFX" + struct.pack(">I", 36) + b"WAVEfmt " + struct.pack(">I", 16) + bytes(16) + b"data" + bytes(4)
    assert found_in(big, "wav").verdict == OK
