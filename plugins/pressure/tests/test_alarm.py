"""What ends a wait."""

from __future__ import annotations

import os
import threading

import pytest

from framework import limits
from framework.errors import ResourceUnavailableError
from plugin_pressure.alarm import Alarm, Request

LONG = 100.0
GROUP = limits.Memory(1 << 20, 1 << 10, 1 << 20, "/nowhere", 1 << 20, 1 << 30, 1 << 30)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_whoever_waits_is_woken_by_a_ring_also_by_one_before() -> None:
    alarm = Alarm()
    alarm.ring()
    assert not alarm.wait(LONG)
    ringing = threading.Timer(0.05, alarm.ring)
    ringing.start()
    assert not alarm.wait(LONG)
    ringing.join()
    assert not alarm.wait(0.0)
    alarm.close()


@pytest.mark.parametrize("seconds", [1e10, float("inf")])
def test_more_seconds_than_the_kernel_takes_are_as_good_as_never(seconds: float) -> None:
    alarm = Alarm()
    ringing = threading.Timer(0.05, alarm.ring)
    ringing.start()
    assert not alarm.wait(seconds)
    ringing.join()
    alarm.close()


def test_a_full_pipe_does_not_hold_up_who_rings() -> None:
    alarm = Alarm()
    for _ in range(100_000):
        alarm.ring()
    assert not alarm.wait(LONG)
    alarm.close()


def test_where_nothing_can_be_asked_for_there_is_nothing_to_rely_on() -> None:
    before = descriptors()
    alarm = Alarm()
    for _ in range(3):
        assert not alarm.arm(GROUP, (75.0, 85.0, 92.0))
        alarm.wait(0.05)
    assert alarm.kind == "none"
    alarm.close()
    assert descriptors() == before


def test_thresholds_that_hardly_move_are_not_asked_for_again() -> None:
    former = Request("/group", (100, 200))
    assert Request("/group", (101, 199)).is_like(former, 1)
    assert not Request("/group", (102, 200)).is_like(former, 1)
    assert not Request("/other", (100, 200)).is_like(former, 1)
    assert not Request("/group", (100,)).is_like(former, 1)


def test_closing_at_once_leaves_no_descriptor() -> None:
    try:
        memory = limits.memory()
    except ResourceUnavailableError as error:
        pytest.skip(str(error))
    before = descriptors()
    for _ in range(5):
        alarm = Alarm()
        alarm.arm(memory, (75.0, 85.0, 92.0))
        alarm.close()
    assert descriptors() == before
