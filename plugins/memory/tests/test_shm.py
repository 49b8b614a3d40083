from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plugin_memory import shm


def test_plain_names_stay_readable() -> None:
    assert shm.segment_name("frames-2.raw") == "framework.frames-2.raw"


@given(name=st.text(min_size=1, max_size=200))
def test_every_name_fits_and_is_the_same_each_time(name: str) -> None:
    segment = shm.segment_name(name)
    assert segment == shm.segment_name(name)
    assert segment.isascii()
    assert "/" not in segment
    assert "\0" not in segment
    assert segment.startswith(("framework.", "framework~"))
    assert len(segment) <= 255


@given(one=st.text(min_size=1, max_size=200), other=st.text(min_size=1, max_size=200))
def test_different_names_are_different_segments(one: str, other: str) -> None:
    assert (shm.segment_name(one) == shm.segment_name(other)) == (one == other)


def test_a_readable_name_never_meets_a_digest() -> None:
    digest = shm.segment_name("a b")
    assert shm.segment_name(digest) != digest
    assert shm.segment_name(digest.removeprefix(shm.DIGEST_PREFIX)) != digest
