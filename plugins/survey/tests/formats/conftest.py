"""One whole file of each type that is checked, made by hand or by the standard library."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sqlite3
import struct
import tarfile
import wave
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_survey.formats import Bounds, Finding, Text, check, text

NOISE = random.Random(1).randbytes(3000)
WORDS = ("the quick brown fox jumps over the lazy dog " * 40).encode()

JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6/+b9"
    "//j/wAALCAAIABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAH/xAAfEAEAAQMEAwAAAAAAAAAAAAABEQACIQMSIkFxgbH/3QAEAAH/2gAIAQEAAD8A"
    "W6Urbpi7iEkkzlY99ziv/9CbpyXgAcpH52eK/9k="
)
"""A picture of 16 by 8 grey pixels of noise, with restart markers, as Pillow wrote it."""


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else method)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(width: int = 20, height: int = 20, *, rows: int | None = None, interlaced: bool = False) -> bytes:
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, int(interlaced))
    passes = [(width, height)]
    if interlaced:  # 8 by 8 pixels only
        passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    source = random.Random(2)
    picture = b"".join(b"\0" + source.randbytes(3 * columns) for columns, lines in passes for _ in range(lines))
    if rows is not None:
        picture = picture[: rows * (1 + 3 * width)]
    data = zlib.compress(picture)
    parts = [png_chunk(b"IHDR", header), png_chunk(b"tEXt", b"Title\0noise")]
    parts += [png_chunk(b"IDAT", data[at : at + 400]) for at in range(0, len(data), 400)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"")


PAGE = (b"/Type/Catalog/Pages 2 0 R", b"/Type/Pages/Kids[3 0 R]/Count 1", b"/Type/Page/Parent 2 0 R")
"""The objects of a document with one page that is empty."""


def pdf(*, front: bytes = b"") -> bytes:
    """A document with a table of objects as text."""
    content, places = b"%PDF-1.4\n", []
    for number, body in enumerate(PAGE, 1):
        places.append(len(content))
        content += b"%d 0 obj\n<<%b>>\nendobj\n" % (number, body)
    table = len(content)
    content += b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return front + content + b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % table


def pdf_with_stream(*, deflated: bool = True) -> bytes:
    """The same with a table of objects as a stream, as most programs write it today."""
    content, rows = b"%PDF-1.5\n", [bytes([0, 0, 0, 255])]
    for number, body in enumerate(PAGE, 1):
        rows.append(bytes([1]) + len(content).to_bytes(2, "big") + b"\0")
        content += b"%d 0 obj\n<<%b>>\nendobj\n" % (number, body)
    table = len(content)
    rows.append(bytes([1]) + table.to_bytes(2, "big") + b"\0")
    data, parameters = b"".join(rows), b""
    if deflated:
        pairs = zip([bytes(4), *rows], rows, strict=False)
        data = zlib.compress(b"".join(b"\2" + bytes((b - a) & 255 for a, b in zip(*two, strict=True)) for two in pairs))
        parameters = b"/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>"
    content += b"4 0 obj\n<</Type/XRef/Size 5/W[1 2 1]/Root 1 0 R%b/Length %d>>\nstream\n" % (parameters, len(data))
    return content + data + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF" % table


def table() -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerows([["name", "note", "count"], *(["a, b", 'say "so"\nand so', str(number)] for number in range(30))])
    return buffer.getvalue().encode()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE word (word TEXT PRIMARY KEY, count INTEGER)")
    connection.executemany("INSERT INTO word VALUES (?, ?)", ((f"word {number}" * 3, number) for number in range(500)))
    connection.commit()
    content = connection.serialize()
    connection.close()
    return content


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(NOISE[:2000])
    return buffer.getvalue()


CORE = '<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>A &amp; B</dc:title></cp:coreProperties>'


def open_xml(folder: str, parts: dict[str, str]) -> bytes:
    members = {"[Content_Types].xml": "<Types/>", "_rels/.rels": "<Relationships/>"}
    members |= {f"{folder}/{name}": content for name, content in parts.items()} | {"docProps/core.xml": CORE}
    return zipped({name: content.encode() for name, content in members.items()})


def docx() -> bytes:
    body = "<w:p><w:r><w:t>Grüße an</w:t></w:r><w:r><w:tab/><w:t>alle</w:t></w:r></w:p><w:p><w:t>second</w:t></w:p>"
    notes = '<w:footnotes xmlns:w="w"><w:p><w:r><w:t>a footnote</w:t></w:r></w:p></w:footnotes>'
    document = f'<w:document xmlns:w="w"><w:body>{body}</w:body></w:document>'
    return open_xml("word", {"document.xml": document, "footnotes.xml": notes})


WHOLE: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zipped({"words": WORDS, "folder/": b"", "folder/noise": NOISE}),
    "gzip": lambda: gzip.compress(WORDS, mtime=0) + gzip.compress(NOISE, mtime=0),
    "bzip2": lambda: bz2.compress(NOISE),
    "xz": lambda: lzma.compress(NOISE),
    "tar": lambda: tarred({"words": WORDS, "noise": NOISE, "last": b"x"}),
    "png": png,
    "jpeg": lambda: base64.b64decode(JPEG),
    "pdf": pdf,
    "json": lambda: json.dumps({"words": ["ü", 1.5, None, True, {"a": []}] * 20, "end": "end"}).encode(),
    "csv": table,
    "xml": lambda: b"<?xml version='1.0'?><!-- n --><root><title>A title</title>" + b"<b c='d'>x</b>" * 50 + b"</root>",
    "sqlite": database,
    "wav": sound,
    "docx": docx,
}


class Samples(dict[str, bytes]):
    """Content by type; shown briefly, because hypothesis shows the arguments of every example."""

    def __repr__(self) -> str:
        return "Samples(...)"


@pytest.fixture(scope="session")
def whole() -> Samples:
    """The content of a good file by type."""
    return Samples({kind: make() for kind, make in WHOLE.items()})


@pytest.fixture(scope="session")
def found_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finding]:
    """Check some content as a file of some type."""
    path = tmp_path_factory.mktemp("checked") / "file"

    def found(content: bytes, kind: str, bounds: Bounds | None = None) -> Finding:
        path.write_bytes(content)
        return check(path, kind, bounds=bounds or Bounds())

    return found


@pytest.fixture(scope="session")
def text_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Text]:
    """Read some content as a file of some type."""
    path: Path = tmp_path_factory.mktemp("read") / "file"

    def read(content: bytes, kind: str, bounds: Bounds | None = None) -> Text:
        path.write_bytes(content)
        return text(path, kind, bounds=bounds or Bounds())

    return read
