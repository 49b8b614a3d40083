"""`Cleaner`: asks the cleanup participants to give something back, and measures what really came back."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from framework import limits
from framework.errors import InvalidRequestError, ResourceUnavailableError
from framework.limits import resident_bytes, trim
from framework.protocols import CleanupParticipant
from framework.records import CleanupOutcome, CleanupReport
from framework.telemetry import get_logger
from framework.threads import FAILURES, TimedCalls

Answer = Callable[[bool, str], int | None]
"""What an application subscribes: takes `aggressive` and `reason`, returns the bytes it believes to have freed."""


class Cleaner:
    """The cleanups of one host. Thread-safe; one cleanup runs at a time.

    Args:
        participants: Returns the participants of all active plugins.
        timeout: Returns the seconds that each may take.
    """

    def __init__(self, participants: Callable[[], Iterable[CleanupParticipant]], timeout: Callable[[], float]) -> None:
        self._of_plugins = participants
        self._timeout = timeout
        self._subscribed: dict[str, CleanupParticipant] = {}
        self._overdue: dict[str, float] = {}
        self._cleaning = threading.Lock()

    def add(self, name: str, answer: Answer) -> Callable[[], None]:
        """Have a function called as `answer(aggressive, reason)` at each cleanup; return what ends that.

        Raises:
            InvalidRequestError: The name is taken, or the answer is no function.
        """
        if not callable(answer):
            raise InvalidRequestError(f"The participant {name!r} is {answer!r}; expected a function.", resource=name)
        if any(one.name == name for one in self.participants()):
            raise InvalidRequestError(f"There is a participant {name!r} already.", "Choose another name.")
        subscribed = self._subscribed[name] = _Subscribed(name, answer)
        return lambda: self._forget(subscribed)

    def participants(self) -> list[CleanupParticipant]:
        """Return all who take part: those of plugins in the order their plugins started, then those of applications."""
        return [*self._of_plugins(), *self._subscribed.values()]

    def request(
        self,
        *,
        aggressive: bool = False,
        reason: str = "requested",
        participants: Iterable[CleanupParticipant] | None = None,
        enough: Callable[[], bool] = lambda: False,
        seconds: float | None = None,
        reader: limits.Reader | None = None,
    ) -> CleanupReport:
        """Ask every participant once; one that raises or takes too long is reported and does not stop the rest.

        What is freed is measured around each answer. Where it is less than what was claimed, the collector of cycles
        runs, if aggressive, and the allocator is told to give back free memory, and it is measured again.

        Args:
            aggressive: Whether what is dear to build again should go as well.
            reason: Why, for logs.
            participants: Whom to ask, in this order; everybody when None.
            enough: Asked before each participant; no more are asked once it is true.
            seconds: How long each may take; the setting `resource_management.participant_timeout` when None.
            reader: Measures the control group; one that is opened for this request when None.
        """
        chosen = self.participants() if participants is None else list(participants)
        limit = self._timeout() if seconds is None else seconds
        with self._cleaning, TimedCalls("framework-cleanup", self._overdue) as calls, _opened(reader) as measure:
            begin = before = _Use(measure)
            outcomes = []
            for one in chosen:
                if enough():
                    break
                outcome, before = _ask(calls, one, aggressive, reason, limit, before)
                outcomes.append(outcome)
            freed, group_freed = before.fall_since(begin)
            report = CleanupReport(aggressive, reason, freed, tuple(outcomes), group_freed)
        get_logger().info(
            "cleanup_finished",
            reason=reason,
            aggressive=aggressive,
            freed_bytes=report.freed_bytes,
            group_freed_bytes=report.group_freed_bytes,
            asked=len(outcomes),
        )
        return report

    def _forget(self, subscribed: _Subscribed) -> None:
        if self._subscribed.get(subscribed.name) is subscribed:
            del self._subscribed[subscribed.name]


class _Subscribed:
    """A function of the application as a participant."""

    def __init__(self, name: str, answer: Answer) -> None:
        self.name = name
        self._answer = answer

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        """Ask the function; nothing returned is no bytes claimed."""
        return self._answer(aggressive, reason) or 0


class _Use:
    """What is used at one moment, by this process and by its control group.

    Where no group limits it before the machine, only the process counts: the machine's own figures lag behind by up to
    a second, which is too late to say what an answer freed.
    """

    def __init__(self, reader: limits.Reader) -> None:
        self._reader = reader
        self._resident, self._group = resident_bytes(), self._of_group()

    def now(self) -> _Use:
        """Return what is used now."""
        return _Use(self._reader)

    def fall_since(self, former: _Use) -> tuple[int, int]:
        """Return by how many bytes the process' and the group's use is less than it was."""
        return max(0, former._resident - self._resident), max(0, former._group - self._group)

    def _of_group(self) -> int:
        try:
            found = self._reader.memory()
        except ResourceUnavailableError:
            return 0
        return 0 if found.source == limits.MACHINE else found.used


def _opened(reader: limits.Reader | None) -> AbstractContextManager[limits.Reader]:
    return limits.Reader() if reader is None else nullcontext(reader)


def _ask(
    calls: TimedCalls, participant: CleanupParticipant, aggressive: bool, reason: str, seconds: float, before: _Use
) -> tuple[CleanupOutcome, _Use]:
    """Ask one participant, and return how it answered, and what is used now."""
    start, claimed, fault = time.perf_counter(), 0, ""
    try:
        claimed = int(
            calls.call(participant.name, lambda: participant.cleanup(aggressive=aggressive, reason=reason), seconds)
        )
    except FAILURES as error:  # one participant's failure must not stop the others
        fault = f"{type(error).__name__}: {error}"
        get_logger().error("participant_failed", participant=participant.name, error=fault)
    after = before.now()
    freed, group_freed = after.fall_since(before)
    if freed < claimed:
        if aggressive:
            gc.collect()
        trim()
        after = before.now()
        freed, group_freed = after.fall_since(before)
    took = time.perf_counter() - start
    return CleanupOutcome(participant.name, claimed, took, fault, freed, group_freed), after
