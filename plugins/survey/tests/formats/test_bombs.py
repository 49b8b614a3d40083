"""Files made to exhaust whoever opens them: each ends as a finding, in a process that may use little memory.

What would take for ever if time grew with the square of the size, or with what a file says of itself, ends the test by
its time limit; nothing here is timed.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_survey.formats import DAMAGED, OK, UNCHECKED

from .conftest import open_xml, pdf, png_chunk, zipped

HEADROOM = 64 << 20
"""Bytes of address space that the process may use beyond what it has once everything is imported."""

INSPECT = """
import json, os, resource, sys
from plugin_survey.formats import check, text
import email.parser, encodings.cp1252, encodings.latin_1, encodings.utf_8_sig, sqlite3
limit = int(sys.argv[1])
if limit:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
path, kind = sys.argv[2:]
finding, read = check(path, kind), text(path, kind)
print(json.dumps([finding.verdict, finding.problem, finding.expanded_bytes, read.truncated, len(read.text), read.note]))
"""


class Result:
    """What the process found."""

    def __init__(self, output: str) -> None:
        self.verdict, self.problem, self.expanded, self.truncated, self.length, self.note = json.loads(output)


@pytest.fixture
def inspect(tmp_path: Path) -> Callable[[bytes | Iterator[bytes], str], Result]:
    """Write some content to a file and inspect it in a process that has little memory."""

    def run(content: bytes | Iterator[bytes], kind: str) -> Result:
        path = tmp_path / "bomb"
        with path.open("wb") as file:
            for piece in [content] if isinstance(content, bytes) else content:
                file.write(piece)
        limit = str(HEADROOM if os.path.exists("/proc/self/statm") else 0)
        command = [sys.executable, "-c", INSPECT, limit, str(path), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Result(done.stdout)

    return run


Inspect = Callable[[bytes | Iterator[bytes], str], Result]


def zeros(mebibytes: int, wbits: int) -> bytes:
    """Return a stream that expands to zeros; its checksum is wrong, which one would see only at its end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = bytes(1 << 20)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (mebibytes - 1) + packer.flush()


def one_member(data: bytes, size: int, name: bytes = b"zeros") -> bytes:
    """Return a ZIP archive with one deflated member that says that it has `size` bytes."""
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(data), size, len(name), 0) + name
    return local + data + directory([central(len(data), size, 0, name)], len(local) + len(data))


def central(packed: int, size: int, offset: int, name: bytes) -> bytes:
    fields = (b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, packed, size, len(name), 0, 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3I5H2I", *fields) + name


def directory(entries: list[bytes], place: int) -> bytes:
    body = b"".join(entries)
    count = len(entries) & 0xFFFF
    return body + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(body), place, 0)


def test_a_zip_archive_that_expands_a_thousandfold_is_unchecked_before_it_does(inspect: Inspect) -> None:
    found = inspect(one_member(zeros(2048, -15), 2 << 30), "zip")
    assert (found.verdict, found.expanded) == (UNCHECKED, 0)
    assert "compression bombs" in found.problem


def test_a_zip_archive_that_lies_about_its_size_is_damaged_where_it_shows(inspect: Inspect) -> None:
    found = inspect(one_member(zeros(2048, -15), 1000), "zip")
    assert (found.verdict, found.expanded <= 2 << 20) == (DAMAGED, True)


def test_a_zip_archive_whose_members_overlap_is_damaged_before_it_is_expanded(inspect: Inspect) -> None:
    name = b"kernel"
    data = zeros(16, -15)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(data), 16 << 20, len(name), 0) + name + data
    # every entry stands for the same bytes: 16 MiB each
    same = [central(len(data), 1 << 20, 0, name) for _ in range(200)]
    found = inspect(local + directory(same, len(local)), "zip")
    assert (found.verdict, found.expanded) == (DAMAGED, 0)
    assert "overlap" in found.problem


def test_archives_in_archives_are_not_opened(inspect: Inspect) -> None:
    content = bytes(1 << 20)
    for level in range(6):
        content = zipped({f"{level}-{number}.zip": content for number in range(8)})
    found = inspect(content, "zip")
    assert (found.verdict, found.expanded < 1 << 20) == (OK, True)


def test_a_directory_that_says_it_is_huge_is_damaged(inspect: Inspect) -> None:
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFE, 0xFFFE, 0xFFFFFFF0, 0, 0)
    assert inspect(b"x" * 1000 + end, "zip").verdict == DAMAGED


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_stream_that_expands_a_thousandfold_is_unchecked(kind: str, inspect: Inspect) -> None:
    if kind == "gzip":
        content = zeros(2048, 31)
    else:
        import bz2
        import lzma

        content = (bz2 if kind == "bzip2" else lzma).compress(bytes(8 << 20)) * 64
    found = inspect(content, kind)
    assert found.verdict == UNCHECKED
    assert (256 << 20) < found.expanded <= (258 << 20)


def test_a_stream_of_very_many_members_is_unchecked(inspect: Inspect) -> None:
    import gzip

    found = inspect(gzip.compress(b"", mtime=0) * 300_000, "gzip")
    assert (found.verdict, found.problem) == (UNCHECKED, "it has more than 250,000 members")


def test_an_image_of_ten_thousand_million_pixels_is_unchecked(inspect: Inspect) -> None:
    header = png_chunk(b"IHDR", struct.pack(">2I5B", 100_000, 100_000, 8, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zeros(1024, 15)) + png_chunk(b"IEND", b"")
    assert inspect(content, "png").verdict == UNCHECKED


def laughs(levels: int) -> str:
    declared = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, levels))
    return f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">{declared}]><a b="&l{levels - 1};">&l{levels - 1};</a>'


def quadratic() -> str:
    return f'<!DOCTYPE a [<!ENTITY long "{"x" * 100_000}">]><a>{"&long;" * 100_000}</a>'


def short_entities() -> str:
    return f'<!DOCTYPE a [<!ENTITY e "{"x" * 250}">]><a b="{"&e;" * 300_000}">{"&e;" * 1_000_000}</a>'


@pytest.mark.parametrize("bomb", [laughs(30), quadratic(), short_entities()], ids=["laughs", "quadratic", "short"])
def test_documents_of_entities_are_not_expanded(bomb: str, inspect: Inspect) -> None:
    found = inspect(bomb.encode(), "xml")
    assert (found.verdict, found.length) == (UNCHECKED, 0)
    in_office = inspect(open_xml("word", {"document.xml": bomb}), "docx")
    assert (in_office.verdict, in_office.length, bool(in_office.note)) == (OK, 0, True)


def many_names() -> str:
    return "<a>" + "".join(f"<e{n} a{n}=''/>" for n in range(400_000)) + "</a>"


def long_names() -> str:
    return "<a>" + "".join(f"<{'e' * 100_000}{n}/>" for n in range(600)) + "</a>"


def defaults(count: int) -> str:
    declared = "".join(f"x{n} CDATA 'v'\n" for n in range(count))
    return f"<!DOCTYPE a [<!ATTLIST a {declared}>]><a>{'<a/>' * 500_000}</a>"


def declarations() -> str:
    return "<!DOCTYPE a [" + "".join(f"<!ENTITY e{n} 'v'>" for n in range(200_000)) + "]><a/>"


def expanded_defaults() -> str:
    declared = "".join(f"x{n} CDATA '{'&e;' * 20_000}'\n" for n in range(60))
    return f"<!DOCTYPE a [<!ENTITY e '{'x' * 250}'><!ATTLIST a {declared}>]><a/>"


@pytest.mark.parametrize(
    ("bomb", "problem"),
    [
        (many_names(), "different names"),
        (long_names(), "different names"),
        (defaults(1000), "attributes by default"),
        (declarations(), "declarations are longer"),
        (expanded_defaults(), "declarations are longer"),
        (f"<!DOCTYPE a [<!ELEMENT a {'(' * (64 << 20)}", "declarations are longer"),
    ],
    ids=["names", "long names", "defaults", "declarations", "expanded defaults", "groups"],
)
def test_documents_of_declarations_and_names_take_no_memory(bomb: str, problem: str, inspect: Inspect) -> None:
    found = inspect(bomb.encode(), "xml")
    assert (found.verdict, problem in found.problem, problem in found.note) == (UNCHECKED, True, True)


def test_a_few_attributes_by_default_are_no_bomb(inspect: Inspect) -> None:
    assert inspect(defaults(150).encode(), "xml").verdict == OK


def test_one_text_of_very_many_words_takes_no_memory(inspect: Inspect) -> None:
    for content in (b"<a>%b</a>" % (b"ab " * (10 << 20)), b"<a><title>%b</title></a>" % (b"ab " * (12 << 20))):
        found = inspect(content, "xml")
        assert (found.verdict, found.truncated, found.length) == (OK, True, 1 << 20)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to know what a process has")
def test_what_memory_does_not_suffice_for_is_neither_damaged_nor_unchecked(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"<a b='%b'/>" % (b"x" * (7 << 19)))
    command = [sys.executable, "-c", INSPECT, str(2 << 20), str(tmp_path / "large"), "xml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "MemoryError")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to know what a process has")
def test_json_is_checked_where_there_is_no_memory_for_its_values(tmp_path: Path) -> None:
    (tmp_path / "values").write_bytes(b"[" + b"[]," * 300_000 + b"0]")
    command = [sys.executable, "-c", INSPECT, str(12 << 20), str(tmp_path / "values"), "json"]
    found = Result(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (found.verdict, found.problem) == (OK, "")


def test_an_office_document_that_expands_a_thousandfold_is_read_in_part(inspect: Inspect) -> None:
    body = "<w:document xmlns:w='w'><w:t>" + " x" * (4 << 20) + "</w:t></w:document>"
    found = inspect(open_xml("word", {"document.xml": body}), "docx")
    assert (found.truncated, found.length) == (True, 1 << 20)
    many = open_xml("xl", {f"worksheets/sheet{n}.xml": "<a>" + "<v/>" * 1_000_000 + "</a>" for n in range(10)})
    assert inspect(many, "xlsx").truncated


def test_deep_json_is_unchecked(inspect: Inspect) -> None:
    for content in (b"[" * 900_000, b"[" * 5_000_000, b'{"a":' * 150_000):
        assert inspect(content, "json").verdict == UNCHECKED
    assert inspect(b"[" + b"{}," * 300_000 + b"{}]", "json").verdict == OK


def endless(start: bytes, piece: bytes, end: bytes = b"") -> Iterator[bytes]:
    """Yield 128 MiB without a line end."""
    yield start
    block = piece * ((1 << 20) // len(piece))
    for _ in range(128):
        yield block
    yield end


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("json", b'["'),
        ("ipynb", b'{"source": ["'),
        ("csv", b"a,b\n"),
        ("xml", b"<a b='"),
        ("html", b"<p>"),
        ("markdown", b"# "),
        ("eml", b"Subject: "),
        ("text", b""),
    ],
)
def test_a_line_without_end_takes_no_memory(kind: str, start: bytes, inspect: Inspect) -> None:
    found = inspect(endless(start, b"word "), kind)
    assert found.verdict == UNCHECKED
    assert found.length <= 1 << 20


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("tar", b""),
        ("zip", b"PK\3\4"),
        ("gzip", b"\x1f\x8b\x08" + bytes(7)),
        ("png", b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">2I5B", 8, 8, 8, 0, 0, 0, 0))),
        ("jpeg", b"\xff\xd8\xff\xc0\0\2\xff\xda\0\2"),
        ("pdf", b"%PDF-1.4\n"),
        ("sqlite", b"SQLite format 3\0\x10\0"),
        ("wav", b"RIFF\xf0\xff\xff\xffWAVE"),
        ("json", b"["),
        ("csv", b"a"),
        ("xml", b"<a>"),
    ],
)
def test_a_quarter_of_a_gibibyte_of_zeros_takes_no_memory(
    kind: str, start: bytes, inspect: Inspect, tmp_path: Path
) -> None:
    with (tmp_path / "bomb").open("wb") as file:
        file.truncate(1 << 28)

    def content() -> Iterator[bytes]:
        yield start
        os.truncate(tmp_path / "bomb", 1 << 28)

    found = inspect(content(), kind)
    assert found.verdict == (OK if kind == "tar" else DAMAGED)


def test_fillers_without_end_take_no_memory_and_are_passed_at_once(inspect: Inspect) -> None:
    assert inspect(endless(b"\xff\xd8\xff", b"\xff"), "jpeg").verdict == DAMAGED


def test_a_pdf_document_whose_tables_go_in_circles_or_say_they_are_huge_ends(inspect: Inspect) -> None:
    document = pdf()
    place = document.index(b"xref")
    circle = document.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % place)
    assert inspect(circle, "pdf").verdict == OK
    assert inspect(document.replace(b"xref\n0 4", b"xref\n0 999999999"), "pdf").verdict == DAMAGED
    packed = zlib.compress(bytes(64 << 20))
    start = b"%PDF-1.5\n"
    stream = b"1 0 obj\n<</Type/XRef/Size 9999999999/W[1 0 0]/Filter/FlateDecode/Length %d>>\nstream\n" % len(packed)
    found = inspect(start + stream + packed + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF" % len(start), "pdf")
    assert (found.verdict, "members" in found.problem) == (UNCHECKED, True)


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("html", b"<"),
        ("html", b"<!--"),
        ("html", b"<a "),
        ("html", b'<a "'),
        ("html", b"<a '\""),
        ("html", b"<script>"),
        ("html", b"<title>"),
        ("html", b"&"),
        ("markdown", b"a "),
        ("markdown", b"---\n"),
        ("json", b'\\"'),
        ("json", b'"source":['),
        ("json", b"/*"),
        ("ipynb", b'"source":['),
        ("ipynb", b'"source":"\\"'),
        ("eml", b"=?a?q?"),
        ("eml", b"Subject: =?utf-8?q?"),
        ("eml", b"a:\n"),
        ("eml", b"\n"),
        ("xml", b"<a>"),
        ("xml", b"<!--"),
        ("csv", b'"'),
        ("csv", b","),
    ],
)
def test_text_made_to_take_the_square_of_its_size_does_not(kind: str, piece: bytes, inspect: Inspect) -> None:
    assert inspect(b'{"' + piece * ((3 << 20) // len(piece)), kind).length <= 1 << 20


def test_a_mail_of_nested_parts_is_not_read(inspect: Inspect) -> None:
    parts = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(400))
    found = inspect(parts + b"\n" * 500_000, "eml")
    assert (found.length, "nested" in found.note) == (0, True)


@pytest.mark.parametrize("kind", [b"text/plain", b"multipart/mixed"])
def test_a_mail_with_endless_parameters_is_not_read(kind: bytes, inspect: Inspect) -> None:
    for parameters in (b'a="' + b";" * 900_000, b"name*=punycode''" + b"a" * 100_000 + b"-" + b"zz9" * 200_000):
        for before in (b"", b"Subject: x\n", b"Subject: x\r"):
            found = inspect(before + b"Content-Type: " + kind + b";\n " + parameters + b"\n\nx", "eml")
            assert (found.length, "headers" in found.note) == (0, True)
