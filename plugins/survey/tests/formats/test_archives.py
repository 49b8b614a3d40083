"""Archives as other programs write them: none that is good is called damaged."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from plugin_survey.formats import DAMAGED, OK, UNCHECKED, Bounds, Finding, check

Check = Callable[..., Finding]


def archive(method: int = zipfile.ZIP_STORED) -> tuple[io.BytesIO, zipfile.ZipFile]:
    buffer = io.BytesIO()
    return buffer, zipfile.ZipFile(buffer, "w", method)


def written(method: int, comment: bytes = b"") -> bytes:
    buffer, file = archive(method)
    with file:
        file.writestr("a", b"a" * 100_000)
        file.writestr("ü/", b"")
        file.comment = comment
    return buffer.getvalue()


def test_zip_archives_with_comments_and_in_front_of_programs_are_ok(found_in: Check) -> None:
    whole = written(zipfile.ZIP_DEFLATED, b"a comment")
    assert found_in(whole, "zip").verdict == OK
    assert found_in(b"#!/bin/sh\n" + whole, "zip").verdict == OK
    assert found_in(whole + b"\0" * 100, "zip").verdict == OK
    assert found_in(whole[:-1], "zip").problem.startswith("it is cut off")


def test_a_zip_archive_written_into_a_pipe_is_checked_by_its_directory(found_in: Check) -> None:
    code = "import sys, zipfile\nwith zipfile.ZipFile(sys.stdout.buffer, 'w', 8) as f: f.writestr('a', b'a' * 1000)"
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    assert found_in(piped, "zip") == Finding("zip", OK, "", 1, 1000)


def test_a_zip_archive_of_large_form_is_ok(found_in: Check) -> None:
    buffer, file = archive()
    with file, file.open("large", "w", force_zip64=True) as member:
        member.write(b"x" * 1000)
    assert found_in(buffer.getvalue(), "zip").verdict == OK
    with zipfile.ZipFile(many := io.BytesIO(), "w") as file:
        for number in range(66_000):  # more than the small end record can count
            file.writestr(zipfile.ZipInfo(str(number)), b"")
    assert found_in(many.getvalue(), "zip").members == 66_000
    assert found_in(many.getvalue(), "zip", Bounds(members=65_000)).verdict == UNCHECKED


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compression_is_unchecked_with_the_reason(method: int, found_in: Check) -> None:
    finding = found_in(written(method), "zip")
    assert (finding.verdict, "method" in finding.problem) == (UNCHECKED, True)


def test_a_cut_off_zip_archive_with_an_archive_inside_is_not_mistaken_for_that(found_in: Check) -> None:
    buffer, file = archive()
    with file:
        file.writestr("inner.zip", written(zipfile.ZIP_DEFLATED))
        file.writestr("after", b"x" * 5000)
    whole = buffer.getvalue()
    cut = whole[: whole.index(b"PK\x05\x06") + 22]
    assert found_in(cut, "zip").verdict == DAMAGED


def test_encrypted_members_are_unchecked(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("zip (Debian package zip) is not installed")
    (tmp_path / "secret").write_text("secret " * 100)
    subprocess.run(["zip", "-q", "-P", "word", "a.zip", "secret"], cwd=tmp_path, check=True)
    finding = check(tmp_path / "a.zip", "zip")
    assert (finding.verdict, "encrypted" in finding.problem) == (UNCHECKED, True)


def changed(content: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """Return an archive with a field of its first header of some kind changed."""
    at = content.index(signature) + offset
    return content[:at] + value + content[at + len(value) :]


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def test_headers_that_contradict_each_other_are_damage_whatever_else_is_odd(found_in: Check) -> None:
    whole = written(zipfile.ZIP_DEFLATED)
    for header, offset, value in (
        (CENTRAL, 8, b"\1"),  # only the directory says that it is encrypted
        (CENTRAL, 10, b"\x63"),  # or compressed by another method
        (CENTRAL, 24, b"\0\0\0\x7f"),  # or expands to 2 GiB
        (LOCAL, 6, b"\1"),
        (LOCAL, 8, b"\x63"),
        (LOCAL, 22, b"\0\0\0\x7f"),
    ):
        assert found_in(changed(whole, header, offset, value), "zip").verdict == DAMAGED


def test_a_header_without_sizes_is_no_damage(found_in: Check) -> None:
    assert found_in(changed(written(zipfile.ZIP_DEFLATED), LOCAL, 14, bytes(12)), "zip").verdict == OK


def test_the_last_part_of_several_is_unchecked_whatever_its_directory_has(found_in: Check) -> None:
    finding = found_in(changed(written(zipfile.ZIP_DEFLATED), END, 4, b"\1\0\1\0"), "zip")
    assert (finding.verdict, "several" in finding.problem) == (UNCHECKED, True)


def test_a_compression_that_this_liblzma_does_not_know_is_unchecked(found_in: Check) -> None:
    whole = bytearray(lzma.compress(b"words" * 100))
    # a filter that does not exist yet, with the checksum of the block's header made right again
    size = (whole[12] + 1) * 4
    whole[14] = 0x3F
    whole[12 + size - 4 : 12 + size] = zlib.crc32(whole[12 : 12 + size - 4]).to_bytes(4, "little")
    finding = found_in(bytes(whole), "xz")
    assert (finding.verdict, "options" in finding.problem) == (UNCHECKED, True)


@pytest.mark.parametrize("tool", [["zip", "-q", "-r", "out.zip"], ["tar", "cf", "out.tar"], ["tar", "czf", "out.gzip"]])
def test_what_the_tools_of_the_system_write_is_ok(tool: list[str], tmp_path: Path) -> None:
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(50):
        (folder / f"{number:03d}{'ü' * number}").write_bytes(os.urandom(number * 300))
    (folder / "link").symlink_to("000")
    (folder / "hard").hardlink_to(folder / "000")
    with (folder / "sparse").open("wb") as file:
        for place in range(0, 40 << 20, 1 << 20):  # more holes than a header of GNU's own form can list
            file.seek(place)
            file.write(b"x")
    subprocess.run([*tool, "folder"], cwd=tmp_path, check=True)
    if tool[0] == "tar":
        subprocess.run([*tool, "-S", "--format=gnu", "folder"], cwd=tmp_path, check=True)
    kind = tool[-1].rpartition(".")[2]
    assert check(tmp_path / tool[-1], kind)[1:3] == (OK, "")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_forms_of_tar_are_ok_and_count_their_members(form: int, found_in: Check) -> None:
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w", format=form) as file:
        for number in range(20):
            member = tarfile.TarInfo(f"{'folder/' * 12}{number}")
            member.size = number * 100
            file.addfile(member, io.BytesIO(b"x" * member.size))
    finding = found_in(buffer.getvalue(), "tar")
    assert (finding.verdict, finding.members >= 20) == (OK, True)


def test_a_size_beyond_octal_is_read(found_in: Check) -> None:
    member = tarfile.TarInfo("huge")
    member.size = 1 << 40
    finding = found_in(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024), "tar")
    assert (finding.verdict, "cut off" in finding.problem) == (DAMAGED, True)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_of_nine_gibibytes_is_passed_over(form: Literal[1, 2], tmp_path: Path) -> None:
    member = tarfile.TarInfo("large")
    member.size = 9 << 30
    head = member.tobuf(form)
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(head)
        file.seek(member.size, os.SEEK_CUR)
        file.write(tarfile.TarInfo("after").tobuf(form) + bytes(1024))
        file.flush()
        assert check(tmp_path / "a.tar", "tar")[1:3] == (OK, "")
        file.truncate(len(head) + member.size - 512)
    assert check(tmp_path / "a.tar", "tar").verdict == DAMAGED


def test_padding_after_gzip_is_no_damage_and_rubbish_is(found_in: Check) -> None:
    whole = gzip.compress(b"words")
    assert found_in(whole + bytes(1000) + whole + bytes(10_000), "gzip").members == 2
    assert found_in(whole + b"rubbish", "gzip").verdict == DAMAGED
    assert found_in(bytes(1000), "gzip").verdict == DAMAGED
