"""Compare `framework survey` with rdfind, jdupes and fdupes on a tree as somebody's home, with a warm page cache.

Run: python tests/benchmarks/survey.py [--files 100000] [--rounds 3] [--tree FOLDER]

Everything runs in turn in each round. The least of each counts, in wall time and in processor time of all its
processes, start-up included; ratios are those of one round, of which the least counts: other work on the machine slows
both. Each survey runs twice: without a catalogue, and with the one that it has just made, of which nothing has changed.

The survey does more than its peers: it reads and digests every file, where they read what may be equal only, and it
writes a catalogue and a report; with --check it looks whether files are whole, with --index it reads and indexes texts.

The tree is that in FOLDER, or one made of files of the types that `SORTS` names, each with the share, the median of its
sizes and their spread that it says. Sizes are log-normal, as Douceur and Bolosky (1999) and Agrawal and others (2007)
found them. A fifth are copies of others. Texts are words of 30,000, whose frequency falls with their rank (Zipf); every
file is whole. The same number of files is the same tree.
"""

from __future__ import annotations

import argparse
import gzip
import io
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

PLUGINS = ("executors", "file", "memory", "pool", "survey")
SURVEY = [sys.executable, "-c", "from framework.cli import main; main()", "survey"]
SURVEYS = {"survey": (), "survey --check": ("--check",), "survey --check --index": ("--check", "--index")}
AGAIN = ", again"
PEERS = ("rdfind", "fdupes", "jdupes")

FOLDER_SIZE = 40
"""Files in a folder."""
COPIES = 0.2
ORIGINALS = 4000
"""Files of which copies are made."""
LARGEST = 16 << 20
WORDS = 30_000
MOST_DEEP = 10


@dataclass(frozen=True, slots=True)
class Sort:
    """Files of one type: how many of 1,000, the median of their sizes in bytes, and the sigma of its logarithm."""

    share: int
    suffixes: tuple[str, ...]
    median: int
    sigma: float
    make: Callable[[Words, int], bytes]


class Words:
    """Random words and bytes, of which files are made."""

    def __init__(self, seed: int) -> None:
        self.numbers = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkqjxz"
        weights = [1 / (rank + 3) for rank in range(26)]
        lengths = (min(14, 2 + int(self.numbers.expovariate(0.2))) for _ in range(WORDS))
        self._words = ["".join(self.numbers.choices(letters, weights, k=length)) for length in lengths]
        self._weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(WORDS)))

    def words(self, size: int) -> list[str]:
        """Return words that take about so many bytes with what is between them."""
        return self.numbers.choices(self._words, cum_weights=self._weights, k=max(1, size // 7))

    def text(self, size: int) -> str:
        """Return lines of ten words each."""
        words = self.words(size)
        return "".join(" ".join(words[at : at + 10]) + "\n" for at in range(0, len(words), 10))


def _text(words: Words, size: int) -> bytes:
    return words.text(size).encode()


def _source(words: Words, size: int) -> bytes:
    found, lines = words.words(size), []
    for at in range(0, len(found), 6):
        first, *others = found[at : at + 6]
        lines.append(f"    {first}_{words.numbers.randrange(50)} = {'('.join(others)}{')' * (len(others) - 1)};")
    return "\n".join(lines).encode()


def _json(words: Words, size: int) -> bytes:
    found = words.words(size // 2)
    rows = [{"id": at, "name": found[at], "tags": found[at : at + 4]} for at in range(0, len(found), 4)]
    return json.dumps(rows, indent=1).encode()


def _html(words: Words, size: int) -> bytes:
    lines = words.text(size * 2 // 3).splitlines()
    body = "\n".join(f'<p class="c{at % 9}">{line} <a href="/{at}">more</a></p>' for at, line in enumerate(lines))
    return f"<!doctype html><html><head><title>{lines[0]}</title></head><body>\n{body}\n</body></html>\n".encode()


def _xml(words: Words, size: int) -> bytes:
    found = words.words(size // 3)
    body = "\n".join(f'<item id="{at}"><name>{word}</name></item>' for at, word in enumerate(found))
    return f'<?xml version="1.0"?>\n<items>\n{body}\n</items>\n'.encode()


def _csv(words: Words, size: int) -> bytes:
    found = words.words(size)
    rows = zip(found[::3], found[1::3], strict=False)
    body = "".join(f"{at},{one},{other},{at * 1.5:.2f}\n" for at, (one, other) in enumerate(rows))
    return f"id,first,second,value\n{body}".encode()


def _png(words: Words, size: int) -> bytes:
    width = 64
    height = max(1, size * 2 // (width * 3))
    # rows of which half repeat, so that they are compressed as drawings are
    rows = [b"\0" + words.numbers.randbytes(width * 3) for _ in range(max(1, height // 2))]
    picture = zlib.compress(b"".join((rows * 3)[:height]), 1)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", picture), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _jpeg(words: Words, size: int) -> bytes:
    scan = words.numbers.randbytes(size).replace(b"\xff", b"\xff\0")
    frame = b"\xff\xc0\x00\x0b\x08\x00\x40\x00\x40\x01\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xe0\x00\x04\x00\x00" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + scan + b"\xff\xd9"
    )


def _pdf(words: Words, size: int) -> bytes:
    content, places = b"%PDF-1.4\n", []
    for number, at in enumerate(range(0, size, 4096), 1):
        stream = words.numbers.randbytes(min(4096, size - at))
        places.append(len(content))
        content += b"%d 0 obj\n<</Length %d>>\nstream\n%b\nendstream\nendobj\n" % (number, len(stream), stream)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<</Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, len(content))
    return content + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(places) + 1, table) + end


def _zip(words: Words, size: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(max(1, min(50, size // 4096))):
            archive.writestr(zipfile.ZipInfo(f"member{number}.txt"), words.text(min(size * 2, 8192)))
    return target.getvalue()


def _docx(words: Words, size: int) -> bytes:
    lines = words.text(size * 3).splitlines()
    body = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in lines)
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo("[Content_Types].xml"), '<?xml version="1.0"?><Types/>')
        archive.writestr(
            zipfile.ZipInfo("word/document.xml"),
            f'<?xml version="1.0"?><w:document {space}><w:body>{body}</w:body></w:document>',
        )
    return target.getvalue()


def _gzip(words: Words, size: int) -> bytes:
    return gzip.compress(_text(words, size * 3), 1, mtime=0)


def _binary(words: Words, size: int) -> bytes:
    return b"\x7fELF" + words.numbers.randbytes(size)


def _unknown(words: Words, size: int) -> bytes:
    return b"\0" + words.numbers.randbytes(size)


KIB = 1 << 10
SORTS = (
    Sort(220, (".txt", ".md", ".log", ""), 3 * KIB, 1.2, _text),
    Sort(200, (".py", ".c", ".js", ".h"), 3 * KIB, 1.2, _source),
    Sort(80, (".json",), 2 * KIB, 1.2, _json),
    Sort(50, (".html",), 5 * KIB, 1.1, _html),
    Sort(40, (".xml", ".svg"), 2 * KIB, 1.1, _xml),
    Sort(20, (".csv",), 4 * KIB, 1.4, _csv),
    Sort(100, (".jpg",), 40 * KIB, 1.0, _jpeg),
    Sort(110, (".png",), 8 * KIB, 1.2, _png),
    Sort(20, (".pdf",), 60 * KIB, 1.0, _pdf),
    Sort(10, (".zip", ".jar"), 20 * KIB, 1.2, _zip),
    Sort(10, (".docx",), 12 * KIB, 0.8, _docx),
    Sort(10, (".gz",), 8 * KIB, 1.2, _gzip),
    Sort(70, (".o", ".so", ""), 8 * KIB, 1.3, _binary),
    Sort(60, (".dat", ".bin", ".pyc"), 4 * KIB, 1.5, _unknown),
)


def make_home(root: str, files: int, seed: int = 1) -> int:
    """Make a tree of so many files, and return its size in bytes."""
    words = Words(seed)
    numbers = words.numbers
    originals: list[tuple[str, bytes]] = []
    total = 0
    for index, folder in enumerate(itertools.islice(_folders(root, numbers), files)):
        if originals and numbers.random() < COPIES:
            suffix, content = numbers.choice(originals)
        else:
            suffix, content = _one(words)
            if len(originals) < ORIGINALS:
                originals.append((suffix, content))
            elif numbers.random() < 0.1:
                originals[numbers.randrange(ORIGINALS)] = suffix, content
        total += len(content)
        with open(os.path.join(folder, f"{words.words(7)[0]}-{index}{suffix}"), "xb") as file:
            file.write(content)
    return total


def _one(words: Words) -> tuple[str, bytes]:
    (sort,) = words.numbers.choices(SORTS, [one.share for one in SORTS])
    size = int(min(LARGEST, sort.median * words.numbers.lognormvariate(0, sort.sigma)))
    return words.numbers.choice(sort.suffixes), sort.make(words, size)


def _folders(root: str, numbers: random.Random) -> Iterator[str]:
    """Yield the folder of each file: each lies in one of the former, up to ten levels deep."""
    made = [(root, 0)]
    os.makedirs(root)
    for number in itertools.count():
        above, depth = numbers.choice(made)
        folder = os.path.join(above, f"folder{number}")
        os.mkdir(folder)
        if depth < MOST_DEEP - 1:
            made.append((folder, depth + 1))
        yield from itertools.repeat(folder, FOLDER_SIZE)


class Times(NamedTuple):
    """Seconds that a run took: those that passed, and those of all processors."""

    wall: float
    cpu: float


def times_of(command: list[str], environment: Mapping[str, str]) -> Times:
    """Run a command, and return what it and its children took."""
    started = perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Times(wall, usage.ru_utime + usage.ru_stime)


def peers(tree: str, scratch: str) -> dict[str, list[str]]:
    """Return the commands of those that are installed here."""
    found = {
        "rdfind": ["rdfind", "-dryrun", "true", "-outputname", os.path.join(scratch, "results.txt"), tree],
        "fdupes": ["fdupes", "-r", "-q", tree],
        "jdupes": ["jdupes", "-r", "-q", tree],
    }
    return {name: command for name, command in found.items() if shutil.which(name)}


def one_round(tree: str, scratch: str, environment: dict[str, str]) -> dict[str, Times]:
    """Run everything once."""
    times = {name: times_of(command, environment) for name, command in peers(tree, scratch).items()}
    state = os.path.join(scratch, "state")
    environment = environment | {"XDG_STATE_HOME": state}
    for name, options in SURVEYS.items():
        shutil.rmtree(state, ignore_errors=True)
        for suffix in ("", AGAIN):
            times[name + suffix] = times_of([*SURVEY, tree, *options], environment)
    return times


def tell(rounds: list[dict[str, Times]]) -> None:
    """Print the least times, and the least ratios of one round."""
    for name in rounds[0]:
        wall, cpu = (min(one[name][place] for one in rounds) for place in range(2))
        line = f"{name:30} {wall:7.2f} s {cpu:7.2f} s of CPU"
        for peer in PEERS if name not in PEERS else ():
            if peer in rounds[0]:
                ratios = [min(one[name][place] / one[peer][place] for one in rounds) for place in range(2)]
                line += f"   {ratios[0]:5.2f} and {ratios[1]:5.2f} x {peer}"
        print(line)


def main() -> None:
    """Make the tree, run everything in turn, print the minima and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tree", help="a folder to be surveyed; made if it is not there, and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = os.path.abspath(options.tree or os.path.join(scratch, "tree"))
        if not os.path.exists(tree):
            print(f"{options.files:,} files, {make_home(tree, options.files):,} bytes")
        config = os.path.join(scratch, "framework.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"plugins": {name: {} for name in PLUGINS}}, file)
        # cached bytecode, as after any installation
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"FRAMEWORK_CONFIG": config, "PYTHONPYCACHEPREFIX": os.path.join(scratch, "bytecode")}
        times_of([*SURVEY, tree, "--catalogue", os.path.join(scratch, "warming")], environment)
        rounds = []
        for number in range(options.rounds):
            rounds.append(one_round(tree, scratch, environment))
            print(f"round {number + 1}: load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    tell(rounds)


if __name__ == "__main__":
    main()
