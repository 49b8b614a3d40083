from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from plugin_survey.formats import DAMAGED, OK, Bounds, Finding, check, kind_of

CONTENTS = {"hello.txt": b"hello world\n" * 50, "folder/": b"", "folder/noise": os.urandom(3000), "empty": b""}


def zipped(method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
        archive.comment = comment
    return buffer.getvalue()


def tarred(form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in {**CONTENTS, "long" * 60: b"x" * 700, "ünïcode": b"y"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


WHOLE = {
    "zip": zipped(),
    "gzip": gzip.compress(CONTENTS["hello.txt"]) + gzip.compress(CONTENTS["folder/noise"]),
    "bzip2": bz2.compress(CONTENTS["folder/noise"]),
    "xz": lzma.compress(CONTENTS["folder/noise"]),
    "tar": tarred(),
}


def found_in(content: bytes, kind: str, folder: Path, bounds: Bounds | None = None) -> Finding:
    path = folder / "file"
    path.write_bytes(content)
    return check(path, kind, bounds=bounds or Bounds())


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_archive_is_recognised_and_ok(kind: str, tmp_path: Path) -> None:
    assert kind_of(WHOLE[kind], "file") == kind
    assert found_in(WHOLE[kind], kind, tmp_path).verdict == OK


@pytest.mark.parametrize("kind", WHOLE)
def test_an_archive_cut_off_anywhere_is_damaged(kind: str, tmp_path: Path) -> None:
    whole = WHOLE[kind]
    step = 97 if kind == "tar" else 7
    # the second empty block of a TAR archive, and its padding to a record, may be missing
    end = len(whole.rstrip(b"\0")) if kind == "tar" else len(whole)
    for length in range(0, end, step):
        # a GZIP file may end wherever one of its members does
        if kind == "gzip" and length == len(gzip.compress(CONTENTS["hello.txt"])):
            continue
        assert found_in(whole[:length], kind, tmp_path).verdict == DAMAGED, length
