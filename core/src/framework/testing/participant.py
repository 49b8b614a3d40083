"""`ParticipantContract`: what every cleanup participant must do, as a pytest class to subclass."""

from __future__ import annotations

import time

import pytest

from framework.protocols import CleanupParticipant
from framework.testing.surroundings import Surroundings
from framework.testing.traces import Traces


class ParticipantContract(Surroundings):
    """Subclass it, and give a participant that is ready to be asked."""

    budget_ms = 1000.0
    """Most milliseconds that one request may take: whoever asks is short of memory."""

    @pytest.fixture
    def participant(self) -> CleanupParticipant:
        """The participant; override it."""
        pytest.fail(f"{type(self).__name__} gives no participant; override the fixture `participant`.")

    def test_it_has_the_shape_of_a_participant(self, participant: CleanupParticipant) -> None:
        """It has a name and the method `cleanup`."""
        assert isinstance(participant, CleanupParticipant)
        assert isinstance(participant.name, str)
        assert participant.name.strip()

    @pytest.mark.parametrize("aggressive", [False, True])
    def test_it_answers_with_a_number_of_bytes(self, participant: CleanupParticipant, aggressive: bool) -> None:
        """It says how much it freed, whoever asks and for whatever reason; never less than nothing."""
        for reason in ("memory is short", ""):
            freed = participant.cleanup(aggressive=aggressive, reason=reason)
            assert type(freed) is int
            assert freed >= 0

    def test_asking_twice_is_harmless(self, participant: CleanupParticipant) -> None:
        """Asked again at once it has no more to give than before, and does not fail."""
        first = participant.cleanup(aggressive=True, reason="first")
        second = participant.cleanup(aggressive=True, reason="second")
        assert second <= first

    def test_it_answers_in_time(self, participant: CleanupParticipant) -> None:
        """It answers within `budget_ms`; the best of three requests counts."""
        best = float("inf")
        for _ in range(3):
            begin = time.perf_counter()
            participant.cleanup(aggressive=False, reason="timing")
            best = min(best, time.perf_counter() - begin)
        assert best * 1000 <= self.budget_ms

    def test_it_leaves_nothing(self, participant: CleanupParticipant) -> None:
        """Being asked costs no thread, descriptor, child or temporary file."""
        participant.cleanup(aggressive=True, reason="first")
        before = Traces.now()
        participant.cleanup(aggressive=True, reason="second")
        assert before.left() == {}
