"""Checking files of each type and reading their text, against the standard library's own way and bare reading.

    python tests/benchmarks/formats.py [--rounds 7] [--mebibytes 16]

One large file of each type, of words and of noise, with a warm page cache; and the cost of one small file, which
decides in a tree of many. The variants take turns within each round; figures are minima over rounds of processor time.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import html.parser
import io
import json
import lzma
import os
import random
import sqlite3
import tarfile
import tempfile
import time
import wave
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Callable

from plugin_survey.formats import HEAD, check, kind_of, text
from plugin_survey.formats.registry import BY_KIND

SMALL = 500
"""Times that a small file is looked at in each round."""


def words(length: int) -> str:
    """Return text of the statistics of prose, the same every time."""
    numbers = random.Random(1)
    lexicon = ["".join(numbers.choices("etaoinshrdlu", k=numbers.randint(2, 9))) for _ in range(5000)]
    found: list[str] = []
    while length > 0:
        found.append(" ".join(numbers.choices(lexicon, k=12)))
        length -= len(found[-1]) + 1
    return "\n".join(found)


def _zip(prose: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(0, len(prose), 1 << 16):
            archive.writestr(str(number), prose[number : number + (1 << 16)])
    return buffer.getvalue()


def _tar(prose: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(0, len(prose), 1 << 16):
            member = tarfile.TarInfo(str(number))
            member.size = len(prose[number : number + (1 << 16)])
            archive.addfile(member, io.BytesIO(prose[number : number + (1 << 16)].encode()))
    return buffer.getvalue()


def _png(length: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = max(1, length // 3073)
    picture = b"".join(b"\0" + random.Random(row).randbytes(1536) * 2 for row in range(rows))
    header = (1024).to_bytes(4, "big") + rows.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(picture, 1)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _sqlite(prose: str) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE line (line TEXT)")
    connection.executemany("INSERT INTO line VALUES (?)", ((line,) for line in prose.splitlines()))
    connection.execute("CREATE INDEX lines ON line (line)")
    connection.commit()
    return connection.serialize()


def _wav(length: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(bytes(length // 4 * 4))
    return buffer.getvalue()


def make(length: int) -> dict[str, bytes]:
    """Return content by type."""
    prose = words(length)
    lines = prose.splitlines()
    records = [{"number": number, "line": line, "split": line.split()} for number, line in enumerate(lines)]
    table = io.StringIO()
    csv.writer(table).writerows([number, line, "a, b"] for number, line in enumerate(lines))
    tagged = "".join(f"<p class='x'><b>{line[:9]}</b>{line[9:]}</p>\n" for line in lines)
    return {
        "zip": _zip(prose),
        "gzip": gzip.compress(prose.encode()),
        "bzip2": bz2.compress(prose[: length // 8].encode()),
        "xz": lzma.compress(prose[: length // 8].encode(), preset=1),
        "tar": _tar(prose),
        "png": _png(length),
        "json": json.dumps(records[: len(records) // 2]).encode(),
        "csv": table.getvalue().encode(),
        "xml": f"<a>{tagged}</a>".encode(),
        "html": f"<html>{tagged}</html>".encode(),
        "sqlite": _sqlite(prose[: length // 3]),
        "wav": _wav(length),
        "text": prose.encode(),
    }


def _read(path: str) -> None:
    with open(path, "rb") as file:
        while file.read(1 << 18):
            pass


def _expand(opener: Callable[[str], io.BufferedIOBase]) -> Callable[[str], None]:
    def run(path: str) -> None:
        with opener(path) as file:
            while file.read(1 << 18):
                pass

    return run


def _test_zip(path: str) -> None:
    with zipfile.ZipFile(path) as archive:
        archive.testzip()


def _list_tar(path: str) -> None:
    with tarfile.open(path) as archive:
        archive.getmembers()


def _load_json(path: str) -> None:
    with open(path, "rb") as file:
        json.load(file)


def _rows(path: str) -> None:
    with open(path, encoding="utf-8", newline="") as file:
        for _ in csv.reader(file):
            pass


def _parse_xml(path: str) -> None:
    for _, element in ElementTree.iterparse(path):
        element.clear()


def _parse_html(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        html.parser.HTMLParser().feed(file.read(4 << 20))


def _quick_check(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA quick_check").fetchall()
    connection.close()


PEERS: dict[str, tuple[str, Callable[[str], None]]] = {
    "zip": ("ZipFile.testzip", _test_zip),
    "gzip": ("gzip.open().read", _expand(gzip.open)),
    "bzip2": ("bz2.open().read", _expand(bz2.open)),
    "xz": ("lzma.open().read", _expand(lzma.open)),
    "tar": ("TarFile.getmembers", _list_tar),
    "json": ("json.load", _load_json),
    "csv": ("csv.reader", _rows),
    "xml": ("ElementTree.iterparse", _parse_xml),
    "html": ("html.parser, 4 MiB", _parse_html),
    "sqlite": ("PRAGMA quick_check", _quick_check),
}


def timed(call: Callable[[], object], times: int = 1) -> float:
    """Return seconds of processor time of one call."""
    started = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - started) / times


def variants(path: str, kind: str) -> dict[str, Callable[[], object]]:
    """Return what is measured for one file."""
    found: dict[str, Callable[[], object]] = {"read": lambda: _read(path)}
    if BY_KIND[kind].check:
        found["check"] = lambda: check(path, kind)
    if BY_KIND[kind].read:
        found["text"] = lambda: text(path, kind)
    if kind in PEERS:
        found["peer"] = lambda: PEERS[kind][1](path)
    return found


def least(calls: dict[str, Callable[[], object]], rounds: int, times: int = 1) -> dict[str, float]:
    """Return the least time of each, measured in turn."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            found[name] = min(found[name], timed(call, times))
    return found


def report(kind: str, size: int, times: dict[str, float]) -> str:
    """Return a line on one large file."""
    mebibytes = size / (1 << 20)
    parts = [f"{kind:7} {mebibytes:6.1f} MiB"]
    parts += [f"{name} {mebibytes / max(times[name], 1e-9):7,.0f} MiB/s" for name in ("read", "check") if name in times]
    if "text" in times:  # only of the beginning
        parts.append(f"text {times['text'] * 1e3:5.1f} ms")
    if "peer" in times:
        ours = times["text" if kind == "html" else "check"]
        parts.append(f"{PEERS[kind][0]} takes {times['peer'] / ours:.2f} times as long")
    return "  ".join(parts)


def small(folder: str, rounds: int) -> None:
    """Print what a file of a few hundred bytes costs."""
    for kind, content in make(600).items():
        path = os.path.join(folder, f"small.{kind}")
        with open(path, "wb") as file:
            file.write(content)
        calls = variants(path, kind)
        calls.pop("peer", None)
        calls["kind_of"] = lambda head=content[:HEAD], name=f"small.{kind}": kind_of(head, name)  # type: ignore[misc]
        times = least(calls, rounds, SMALL)
        print(f"{kind:7} small  " + "  ".join(f"{name} {seconds * 1e6:6.1f} µs" for name, seconds in times.items()))


def main() -> None:
    """Make the files, measure in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mebibytes", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind, content in make(options.mebibytes << 20).items():
            path = os.path.join(folder, f"large.{kind}")
            with open(path, "wb") as file:
                file.write(content)
            print(report(kind, len(content), least(variants(path, kind), options.rounds)), flush=True)
        small(folder, options.rounds)


if __name__ == "__main__":
    main()
