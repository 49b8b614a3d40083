"""Functions of others are left behind when they take too long."""

from __future__ import annotations

import threading

import pytest

from framework.threads import TimedCalls, in_thread


def test_a_function_that_takes_too_long_is_left_behind_and_the_next_is_called() -> None:
    release = threading.Event()
    overdue: dict[str, float] = {}
    with TimedCalls("calls", overdue) as calls:
        with pytest.raises(TimeoutError, match=r"took longer than 0\.01 s"):
            calls.call("slow", release.wait, 0.01)
        assert calls.call("other", lambda: 5, 30) == 5
        with pytest.raises(TimeoutError, match="still busy"):
            calls.call("slow", lambda: 6, 30)
        stuck = next(one for one in threading.enumerate() if one.name == "calls")
        release.set()
        stuck.join(30)
        assert calls.call("slow", lambda: 6, 30) == 6
    assert overdue == {}


def test_the_thread_ends_with_the_calls() -> None:
    with TimedCalls("last calls", {}) as calls:  # of the name "calls" one of another test may be about to end
        calls.call("one", lambda: None, 30)
        (thread,) = [one for one in threading.enumerate() if one.name == "last calls"]
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("own"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_function_raises_is_raised(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with TimedCalls("calls", {}) as calls:
        with pytest.raises(type(error)) as caught:
            calls.call("failing", fail, 30)
        assert caught.value is error
        assert calls.call("failing", lambda: 1, 30) == 1


@pytest.mark.parametrize("seconds", [1e10, float("inf")])
def test_more_seconds_than_a_lock_can_wait_are_as_good_as_never(seconds: float) -> None:
    with TimedCalls("calls", {}) as calls:
        assert calls.call("one", lambda: 1, seconds) == 1


def test_a_subject_whose_thread_could_not_be_started_is_called_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:  # as the system does where pids.max is reached
        raise RuntimeError("can't start new thread")

    with TimedCalls("calls", {}) as calls:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                calls.call("one", lambda: 1, 30)
        assert calls.call("one", lambda: 1, 30) == 1


async def test_a_coroutine_gets_what_a_thread_returns_or_raises() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
