"""A cleanup request measures what really came back."""

from __future__ import annotations

from framework import cleanup


class Hoard:
    """Really holds memory, and really lets it go."""

    name = "hoard"

    def __init__(self, size: int) -> None:
        self.held: bytearray | None = bytearray(b"x") * size

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        size = len(self.held or b"")
        self.held = None
        return size


def test_freed_bytes_are_measured_and_not_what_was_claimed() -> None:
    size = 64 << 20
    report = cleanup.request_cleanup([Hoard(size)], aggressive=False, reason="test")
    assert report.outcomes[0].claimed_bytes == size
    assert size * 0.9 < report.freed_bytes < size * 1.5


def test_a_boast_frees_nothing() -> None:
    class Boaster:
        name = "boaster"

        def cleanup(self, *, aggressive: bool, reason: str) -> int:
            return 1 << 40

    report = cleanup.request_cleanup([Boaster()], aggressive=False, reason="test")
    assert report.outcomes[0].claimed_bytes == 1 << 40
    assert report.freed_bytes < 1 << 24


def test_nobody_to_ask_is_an_empty_report() -> None:
    report = cleanup.request_cleanup([], aggressive=True, reason="test")
    assert report.outcomes == ()
    assert report.aggressive


def test_the_resident_set_grows_with_what_is_really_used() -> None:
    before = cleanup.resident_bytes()
    held = bytearray(b"x") * (32 << 20)
    assert cleanup.resident_bytes() - before > len(held) * 0.9
