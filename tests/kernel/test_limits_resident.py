"""What this process has of the memory, now and at most."""

from __future__ import annotations

import pytest

from framework import limits

SIZE = 64 << 20


def test_the_peak_stays_when_the_memory_is_gone_and_begins_anew_on_request() -> None:
    if not limits.reset_peak():
        pytest.skip("/proc/self/clear_refs cannot be written here")
    before = limits.resident_bytes()

    held = bytearray(b"x") * SIZE
    del held

    assert limits.peak_bytes() - before > SIZE * 0.9
    assert limits.reset_peak()
    assert limits.peak_bytes() - before < SIZE * 0.5


def test_trimming_gives_back_what_the_allocator_keeps() -> None:
    if not limits.resident_bytes():
        pytest.skip("this system does not say what is resident")
    kept = [b"x" * 10_000 for _ in range(5_000)]
    guard = b"x" * 10_000  # at the top of the heap, so that freeing what is below gives nothing back by itself
    full = limits.resident_bytes()
    kept.clear()

    limits.trim()

    assert full - limits.resident_bytes() > 5_000 * 10_000 * 0.8, guard[:1]
