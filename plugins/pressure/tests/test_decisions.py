"""When rounds are due, how long is waited, who is asked first, and when processors are busy; all without a clock."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plugin_pressure.decisions import Decisions
from plugin_pressure.levels import AGGRESSIVE, CRITICAL, NORMAL, WARNING, Ladder, thresholds
from plugin_pressure.pace import CALM, LONGEST, SHORTEST, Pace
from plugin_pressure.processors import BusyWarning
from plugin_pressure.ranking import STRIKES, Ranking
from plugin_pressure.records import Decision
from plugin_pressure.schedule import LONGEST_FACTOR, Schedule

USUAL = thresholds((75, 85, 92), (5, 7, 7))
COOLDOWN = 10.0


class Scheduled(RuleBasedStateMachine):
    """Rounds that help or do not, while use goes up and down."""

    def __init__(self) -> None:
        super().__init__()
        self.ladder, self.schedule = Ladder(), Schedule()
        self.now, self.percent = 0.0, 50.0
        self.rounds: list[tuple[float, int, float, bool]] = []
        self.reason = ""

    @rule(percent=st.floats(40, 100), step=st.floats(0.05, 1))
    def look(self, percent: float, step: float) -> None:
        self.now, self.percent = self.now + step, percent
        self.ladder.observe(self.now, percent, USUAL)
        self.reason = self.schedule.due(self.now, self.ladder.level, percent, USUAL, COOLDOWN)

    @rule(left=st.floats(0, 1), helped=st.booleans())
    def clean(self, left: float, helped: bool) -> None:
        if self.reason:
            self.percent *= left if helped else 1.0
            met = self.percent <= USUAL.leave[self.ladder.level - 1] - 5
            self.rounds.append((self.now, self.ladder.level, self.percent, met))
            self.schedule.ended(self.now, self.ladder.level, self.percent, met=met, helped=helped or met)
            self.reason = ""

    @rule(times=st.integers(5, 40))
    def nothing_helps(self, times: int) -> None:
        for _ in range(times):
            self.look(self.percent, 0.5)
            self.clean(1.0, helped=False)

    @invariant()
    def without_pressure_there_are_no_rounds(self) -> None:
        if self.ladder.level == NORMAL or self.percent < USUAL.leave[self.ladder.level - 1]:
            assert not self.reason

    @invariant()
    def what_does_not_help_is_not_repeated_at_once(self) -> None:
        for (at, level, percent, met), (then, higher, later, _) in itertools.pairwise(self.rounds):
            if not met and higher == level and abs(later - percent) < 1e-9 and percent > 75:
                assert then - at >= 0.5

    @invariant()
    def a_new_level_gets_its_round(self) -> None:
        new = self.rounds and self.ladder.level > max(level for _, level, _, _ in self.rounds)
        if new and self.percent >= USUAL.enter[self.ladder.level - 1] and self.rounds[-1][0] < self.now:
            assert self.schedule.due(self.now, self.ladder.level, self.percent, USUAL, COOLDOWN)


TestSchedule = Scheduled.TestCase


def test_a_level_that_cannot_be_left_gets_ever_rarer_rounds() -> None:
    schedule, now, rounds = Schedule(), 0.0, []
    while now < 3600:
        if schedule.due(now, AGGRESSIVE, 88, USUAL, COOLDOWN):
            rounds.append(now)
            schedule.ended(now, AGGRESSIVE, 88, met=False, helped=False)
        now += 0.5
    gaps = [later - earlier for earlier, later in itertools.pairwise(rounds)]
    assert gaps[:4] == [20, 40, 80, 160]
    assert max(gaps) == LONGEST_FACTOR * COOLDOWN
    assert len(rounds) < 30


def test_each_round_has_a_reason() -> None:
    schedule = Schedule()
    assert schedule.due(0, WARNING, 76, USUAL, COOLDOWN) == "warning was reached"
    schedule.ended(1, WARNING, 60, met=True, helped=True)
    assert schedule.due(2, WARNING, 72, USUAL, COOLDOWN) == ""
    assert schedule.due(3, WARNING, 75, USUAL, COOLDOWN) == "use came back to 75 %"
    assert schedule.due(3, CRITICAL, 93, USUAL, COOLDOWN) == "critical was reached"
    schedule.ended(4, CRITICAL, 93, met=False, helped=False)
    assert schedule.due(5, CRITICAL, 97, USUAL, COOLDOWN) == ""
    assert schedule.due(5, CRITICAL, 98, USUAL, COOLDOWN) == "use grew by 5 % since the last round"
    assert schedule.due(24, CRITICAL, 93, USUAL, COOLDOWN) == "still critical 20 s after the last round"
    assert schedule.due(30, NORMAL, 20, USUAL, COOLDOWN) == ""
    assert schedule.due(31, WARNING, 76, USUAL, COOLDOWN) == "warning was reached"


@given(
    readings=st.lists(st.tuples(st.floats(0.05, 5), st.floats(0, 100)), min_size=1),
    headroom=st.integers(0, 1 << 40),
    interval=st.floats(0.01, 120),
    level=st.sampled_from(range(4)),
    armed=st.booleans(),
)
def test_memory_cannot_fill_between_two_looks_unless_it_is_watched_or_cannot_be_faster(
    readings: list[tuple[float, float]], headroom: int, interval: float, level: int, armed: bool
) -> None:
    pace, now, last_move, percent = Pace(), 0.0, 0.0, -1.0
    for step, found in readings:
        now += step
        pace.observe(now, found)
        if abs(found - percent) >= 0.5:
            last_move, percent = now, found
    wait = pace.wait(now, headroom=headroom, fastest=6e9, interval=interval, level=level, armed=armed)
    quiet = now - last_move >= CALM and not level
    assert wait <= max(interval, SHORTEST)
    if not quiet:
        assert wait <= LONGEST
    if not (quiet and armed):
        assert wait <= max(headroom / 6e9, SHORTEST)
    if interval >= SHORTEST:
        assert wait >= min(SHORTEST, interval)


def test_quiet_memory_that_is_far_away_is_looked_at_once_in_the_interval() -> None:
    pace = Pace()
    pace.observe(0, 10)
    pace.observe(11, 10.2)
    assert pace.wait(11, headroom=200 << 20, fastest=6e9, interval=30, level=0, armed=True) == 30
    assert pace.wait(11, headroom=200 << 20, fastest=6e9, interval=30, level=0, armed=False) == SHORTEST
    assert pace.wait(11, headroom=60 * 10**9, fastest=6e9, interval=30, level=0, armed=False) == 10
    assert pace.wait(11, headroom=200 << 20, fastest=6e9, interval=30, level=1, armed=True) == SHORTEST


def test_the_cheap_come_first_then_those_that_give_most_then_the_demoted() -> None:
    ranking = Ranking()
    ranking.learn("slow", 1000, 1000, 10)
    ranking.learn("fast", 1000, 1000, 0.001)
    for _ in range(STRIKES):
        ranking.learn("boaster", 1 << 30, 0, 0.001)
    costs = [("boaster", 0.1), ("dear", 5.0), ("slow", 1.0), ("fast", 1.0), ("new", 1.0)]
    assert ranking.order(costs) == ["new", "fast", "slow", "dear", "boaster"]


@pytest.mark.parametrize("cost", [None, "cheap", True, math.nan, object()])
def test_a_cost_that_is_none_counts_as_the_usual_one(cost: object) -> None:
    assert Ranking().order([("dear", 1.5), ("odd", cost), ("cheap", 0.5)]) == ["cheap", "odd", "dear"]


class Ranked(RuleBasedStateMachine):
    """Answers of three participants."""

    def __init__(self) -> None:
        super().__init__()
        self.ranking = Ranking()
        self.strikes = dict.fromkeys("abc", 0)

    @rule(name=st.sampled_from("abc"), claimed=st.integers(0, 1 << 40), share=st.floats(0, 2), failed=st.booleans())
    def answer(self, name: str, claimed: int, share: float, failed: bool) -> None:
        freed = int(claimed * share)
        found = self.ranking.learn(name, claimed, freed, 0.01, "ValueError: no" if failed else "")
        bad = failed or freed < claimed / 100
        self.strikes[name] = self.strikes[name] + 1 if bad else 0
        assert bool(found.fault) == bad

    @invariant()
    def three_bad_answers_in_a_row_demote_and_a_good_one_restores(self) -> None:
        known = self.ranking.standings
        for name, strikes in self.strikes.items():
            assert (name in known and known[name].demoted) == (strikes >= STRIKES)

    @invariant()
    def everybody_is_asked_and_the_demoted_last(self) -> None:
        order = self.ranking.order([("a", 3.0), ("b", 2.0), ("c", 1.0)])
        assert sorted(order) == ["a", "b", "c"]
        bad = [self.strikes[name] >= STRIKES for name in order]
        assert bad == sorted(bad)


TestRanking = Ranked.TestCase


def test_who_takes_part_no_more_is_forgotten() -> None:
    ranking = Ranking()
    ranking.learn("a", 1, 1, 1)
    ranking.learn("b", 1, 1, 1)
    ranking.forget(["b"])
    assert list(ranking.standings) == ["b"]


def test_busy_processors_are_said_once_until_they_rest() -> None:
    busy, said, spent = BusyWarning(), [], 0.0
    for second, share in enumerate([0, 0.5, 0.85, 0.9, 0.78, 0.81, 0.5, 0.9]):
        spent += 2 * share
        said.append(busy.observe(float(second), spent, 2.0, 80.0))
    assert said == [False, False, True, False, False, False, False, True]
    assert busy.percent == pytest.approx(90)
    assert not busy.due(7.5, 0.1)
    assert busy.due(8, 0.1)


def test_only_the_last_decisions_are_kept_and_rounds_are_added_up() -> None:
    decisions = Decisions(3)
    for number in range(5):
        decisions.add(Decision(number, "clean", "warning", 80, 100, claimed=10, freed=3, group_freed=4))
    decisions.add(Decision(9, "clean", "warning", 80, 100, claimed=10, dry_run=True))
    assert [one.when for one in decisions.all()] == [3, 4, 9]
    assert (decisions.rounds, decisions.claimed, decisions.freed) == (5, 50, 20)
