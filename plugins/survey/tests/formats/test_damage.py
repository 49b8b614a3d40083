"""What is whole is ok; what is cut off, or changed where its format has a checksum, is damaged; nothing is raised."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_survey.formats import DAMAGED, OK, UNCHECKED, Finding, Text, kind_of

Check = Callable[..., Finding]

KINDS = ("zip", "gzip", "bzip2", "xz", "tar", "png", "jpeg", "pdf", "json", "csv", "xml", "sqlite", "wav", "docx")
STEPS = {"sqlite": 199, "tar": 61}
"""Every how manieth length is tried; 5 where nothing is said."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_ok_and_recognised(kind: str, whole: dict[str, bytes], found_in: Check) -> None:
    finding = found_in(whole[kind], kind)
    assert (finding.kind, finding.verdict, finding.problem) == (kind, OK, "")
    assert finding.members >= 1
    assert kind_of(whole[kind], f"name.{kind}") == kind


def may_end_at(kind: str, content: bytes, length: int) -> bool:
    """Return whether a file cut off there is still a whole one, or its loss cannot be seen."""
    if kind == "gzip":
        return length == content.index(b"\x1f\x8b\x08", 1)  # between its two members
    if kind == "tar":
        return length >= -(-len(content.rstrip(b"\0")) // 512) * 512 + 512  # one empty block is enough for everybody
    if kind == "csv":
        return cut_off_between_columns(content[:length].decode())
    return False


def cut_off_between_columns(text: str) -> bool:
    """Return whether the last row of a table has all three columns, or might go on with a quote that is still open."""
    rows = list(csv.reader(io.StringIO(text)))
    return len(rows) < 2 or len(rows[-1]) == 3 or text.count('"') % 2 == 1


def assert_cuts_are_seen(kind: str, content: bytes, lengths: Iterable[int], found_in: Check) -> None:
    for length in lengths:
        finding = found_in(content[:length], kind)
        if kind == "xml" and length < content.index(b"<root>") + 6:
            assert finding.verdict != OK, length  # before its first element it may be meant to be so
        elif not may_end_at(kind, content, length):
            assert finding.verdict == DAMAGED, (length, finding)
            assert finding.problem


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_anywhere_is_damaged(kind: str, whole: dict[str, bytes], found_in: Check) -> None:
    content = whole[kind]
    assert_cuts_are_seen(kind, content, range(1, len(content), STEPS.get(kind, 5)), found_in)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_at_any_byte_is_damaged(kind: str, whole: dict[str, bytes], found_in: Check) -> None:
    content = whole[kind]
    ends = max(len(content) - 600, 0)  # of the database most lengths are alike: no whole pages
    steps = (
        range(1, len(content))
        if kind != "sqlite"
        else [*range(1, 600), *range(600, ends, 61), *range(ends, ends + 600)]
    )
    assert_cuts_are_seen(kind, content, steps, found_in)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "png", "jpeg", "pdf", "sqlite", "wav", "zip"])
def test_an_empty_file_of_a_type_that_cannot_be_empty_is_damaged(kind: str, found_in: Check) -> None:
    assert found_in(b"", kind).verdict == DAMAGED


def contents(kind: str, data: bytes) -> Any:
    """Return all that the checksums of a format protect, as the standard library reads it."""
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    if kind == "tar":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return [one.get_info() for one in archive.getmembers()]
    return {"gzip": gzip.decompress, "bzip2": bz2.decompress, "xz": lzma.decompress}[kind](data)


@pytest.mark.parametrize("kind", ["zip", "gzip", "bzip2", "xz", "tar"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_that_changes_what_is_in_an_archive_is_damage(
    kind: str, whole: dict[str, bytes], found_in: Check, data: st.DataObject
) -> None:
    content = bytearray(whole[kind])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if found_in(bytes(content), kind).verdict == OK:
        assert contents(kind, bytes(content)) == contents(kind, whole[kind])


def test_an_archive_that_needs_a_version_that_there_is_not_is_damaged(whole: dict[str, bytes], found_in: Check) -> None:
    content = bytearray(whole["zip"])
    content[content.rindex(b"PK\x01\x02") + 6] = 84
    assert "version 8.4" in found_in(bytes(content), "zip").problem


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_changed_byte_of_a_png_image_is_damage(
    whole: dict[str, bytes], found_in: Check, data: st.DataObject
) -> None:
    content = bytearray(whole["png"])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert found_in(bytes(content), "png").verdict == DAMAGED


EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 20), st.binary(max_size=20)), min_size=1, max_size=4)
"""Where (modulo the length), how many bytes to take out, and what to put there."""


@pytest.mark.parametrize("kind", KINDS)
@given(edits=EDITS, other=st.sampled_from(["", "", "", *KINDS, "xlsx", "epub", "html", "eml", "ipynb"]))
@settings(max_examples=60, deadline=None)
def test_no_change_makes_a_check_or_a_reading_raise(
    kind: str,
    whole: dict[str, bytes],
    found_in: Check,
    text_in: Callable[..., Text],
    edits: list[tuple[int, int, bytes]],
    other: str,
) -> None:
    content = whole[kind]
    for place, removed, added in edits:
        at = place % (len(content) + 1)
        content = content[:at] + added + content[at + removed :]
    finding = found_in(content, other or kind)
    assert finding.verdict in (OK, DAMAGED, UNCHECKED)
    assert finding.problem.isprintable()
    read = text_in(content, other or kind)
    for one in read[:2]:
        assert one.encode().decode() == one  # which lone surrogates would make impossible
        assert "\0" not in one
