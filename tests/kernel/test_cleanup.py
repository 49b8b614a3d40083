"""A cleanup request measures what really came back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from framework import limits
from framework.cleanup import Cleaner
from framework.errors import InvalidRequestError
from framework.protocols import CleanupParticipant
from framework.records import CleanupReport
from framework.testing import MemoryGroup


def cleaner(*participants: CleanupParticipant, seconds: float = 30) -> Cleaner:
    return Cleaner(lambda: participants, lambda: seconds)


def requested(participants: list[CleanupParticipant], *, aggressive: bool, reason: str) -> CleanupReport:
    return cleaner(*participants).request(aggressive=aggressive, reason=reason)


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
    report = requested([Hoard(size)], aggressive=False, reason="test")
    assert report.outcomes[0].claimed_bytes == size
    assert size * 0.9 < report.freed_bytes < size * 1.5


def test_the_report_says_by_how_much_the_use_of_the_group_fell() -> None:
    with MemoryGroup(256 << 20) as group:
        found = group.run("""
            from framework.cleanup import Cleaner

            class Hoard:
                name = "hoard"
                def __init__(self):
                    self.held = bytearray(b"x") * (64 << 20)
                def cleanup(self, *, aggressive, reason):
                    del self.held
                    return 64 << 20

            report = Cleaner(lambda: [Hoard()], lambda: 30).request()
            print(json.dumps([report.freed_bytes, report.group_freed_bytes, report.outcomes[0].group_freed_bytes]))
        """)
    assert all(60 << 20 < one < 70 << 20 for one in found.result), found


def test_a_boast_frees_nothing() -> None:
    class Boaster:
        name = "boaster"

        def cleanup(self, *, aggressive: bool, reason: str) -> int:
            return 1 << 40

    report = requested([Boaster()], aggressive=False, reason="test")
    assert report.outcomes[0].claimed_bytes == 1 << 40
    assert report.freed_bytes < 1 << 24


def test_nobody_to_ask_is_an_empty_report() -> None:
    report = requested([], aggressive=True, reason="test")
    assert report.outcomes == ()
    assert report.aggressive


def test_the_resident_set_grows_with_what_is_really_used() -> None:
    before = limits.resident_bytes()
    held = bytearray(b"x") * (32 << 20)
    assert limits.resident_bytes() - before > len(held) * 0.9


class Asked:
    def __init__(self, name: str, answer: Callable[[], int] = lambda: 0) -> None:
        self.name = name
        self.asked: list[tuple[bool, str]] = []
        self._answer = answer

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        self.asked.append((aggressive, reason))
        return self._answer()


def test_what_the_allocator_keeps_is_given_back() -> None:
    held = [b"x" * 10_000 for _ in range(10_000)]

    def free() -> int:
        held.clear()
        return 100_000_000

    report = requested([Asked("texts", free)], aggressive=False, reason="test")
    assert report.outcomes[0].freed_bytes > 80_000_000


def test_one_that_hangs_is_left_behind_and_not_asked_again() -> None:
    release = threading.Event()
    hangs, last = Asked("hangs", lambda: int(release.wait())), Asked("last")
    one = cleaner(hangs, last, seconds=0.05)
    first, second = one.request(reason="first"), one.request(reason="second")
    release.set()
    assert "took longer than 0.05 s" in first.outcomes[0].error
    assert "still busy" in second.outcomes[0].error
    assert hangs.asked == [(False, "first")]
    assert last.asked == [(False, "first"), (False, "second")]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), MemoryError(), asyncio.CancelledError()])
def test_one_that_raises_stops_nobody(error: BaseException) -> None:
    def fail() -> int:
        raise error

    last = Asked("last")
    report = requested([Asked("fails", fail), last], aggressive=True, reason="test")
    assert report.outcomes[0].error.startswith(type(error).__name__)
    assert last.asked == [(True, "test")]


def test_only_those_who_are_chosen_are_asked_and_no_more_than_is_needed() -> None:
    first, second, third, other = (Asked(name) for name in ("first", "second", "third", "other"))
    report = cleaner(other).request(
        participants=[third, first, second], enough=lambda: bool(first.asked), reason="short", seconds=30
    )
    assert [one.participant for one in report.outcomes] == ["third", "first"]
    assert not second.asked
    assert not other.asked


def test_an_application_subscribes_a_function_and_takes_it_back() -> None:
    seen: list[tuple[bool, str]] = []
    one = cleaner(Asked("caches"))
    remove = one.add("sessions", lambda aggressive, reason: seen.append((aggressive, reason)))
    for name in ("sessions", "caches"):
        with pytest.raises(InvalidRequestError, match=f"'{name}' already"):
            one.add(name, lambda aggressive, reason: None)
    with pytest.raises(InvalidRequestError, match="expected a function"):
        one.add("number", 5)  # type: ignore[arg-type]  # on purpose
    report = one.request(aggressive=True, reason="manual")
    assert [(each.participant, each.error) for each in report.outcomes] == [("caches", ""), ("sessions", "")]
    remove()
    remove()
    one.request()
    assert seen == [(True, "manual")]


def test_a_participant_may_ask_for_a_cleanup_itself_without_a_deadlock() -> None:
    def again() -> int:
        inner.request(reason="inner")
        return 0

    inner = cleaner(Asked("nested", again), seconds=0.1)
    assert "took longer" in inner.request(reason="outer").outcomes[0].error
