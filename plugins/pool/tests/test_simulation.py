"""The simulator, against what is known of queues, and against what must always be true."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import InvalidRequestError
from plugin_pool import ResourceInstance, ResourceRequirement
from plugin_pool.simulation import Law, Outcome, Source, Stream, Tally, Workload, simulate
from plugin_pool.simulation.example import example
from plugin_pool.simulation.outcome import quantile


def stream(name: str, duration: Law, count: int = 1, kind: str = "a", **options: Any) -> Stream:
    return Stream(name, (ResourceRequirement(kind, count=count),), duration, **options)


def workload(servers: int, *sources: Source, capacity: int = 1) -> Workload:
    entities = [ResourceInstance(f"a{number}", "a", capacity=capacity) for number in range(servers)]
    return Workload(tuple(entities), sources)


def single(servers: int, rate: float, duration: Law, capacity: int = 1) -> Workload:
    return workload(servers, Source(Law.exponential(1 / rate), (stream("only", duration),)), capacity=capacity)


def erlang_c(servers: int, load: float) -> float:
    """Return the chance to wait in a queue M/M/c, `load` being the mean number of busy servers (Erlang, 1917)."""
    powers = [load**number / math.factorial(number) for number in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(powers) + last)


def mean_wait(outcome: Outcome) -> float:
    waits = outcome.of("only").waits
    return sum(waits) / len(waits)


@pytest.mark.parametrize(("servers", "rate", "capacity"), [(1, 0.5, 1), (5, 4.0, 1), (10, 8.5, 1), (2, 3.0, 2)])
def test_exponential_service_waits_as_erlang_says(servers: int, rate: float, capacity: int) -> None:
    places = servers * capacity
    expected = erlang_c(places, rate) / (places - rate)

    outcome = simulate(single(servers, rate, Law.exponential(1.0), capacity), tasks=60_000)

    assert mean_wait(outcome) == pytest.approx(expected, rel=0.12)
    assert outcome.total.used / (outcome.seconds * places) == pytest.approx(rate / places, rel=0.03)
    assert outcome.rows()[0]["throughput"] == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize("duration", [Law.fixed(1.0), Law.uniform(0.5, 1.5)])
def test_one_server_waits_as_pollaczek_and_khinchine_say(duration: Law) -> None:
    second_moment = 1.0 + (duration.high - duration.low) ** 2 / 12

    outcome = simulate(single(1, 0.7, duration), tasks=60_000)

    assert mean_wait(outcome) == pytest.approx(0.7 * second_moment / (2 * 0.3), rel=0.1)


def test_the_same_seed_gives_the_same_course_and_another_seed_another() -> None:
    first, again, other = [simulate(example(), tasks=2000, seed=seed) for seed in (7, 7, 8)]

    assert first.rows() == again.rows()
    assert first.rows() != other.rows()


def test_every_strategy_gets_the_very_same_tasks() -> None:
    arrivals = [list(zip(range(500), example().arrivals(3), strict=False)) for _ in range(2)]
    plain = [[(one.at, one.stream.name, one.duration) for _, one in each] for each in arrivals]
    assert plain[0] == plain[1]

    first, best = [simulate(example(), strategy=name, tasks=5000) for name in ("first_fit", "best_fit")]
    assert [one.arrived for one in first.tallies] == [one.arrived for one in best.tallies]
    assert first.seconds == best.seconds
    assert first.rows() != best.rows()


def test_what_can_do_everything_is_spared_for_what_needs_it() -> None:
    first, best = [simulate(example(), strategy=name, tasks=20_000) for name in ("first_fit", "best_fit")]

    assert sum(best.of("report").waits) < 0.8 * sum(first.of("report").waits)


def test_a_workload_that_is_too_much_shows_as_that() -> None:
    outcome = simulate(single(1, 2.0, Law.fixed(1.0)), seconds=1000)
    row = outcome.rows()[0]

    assert row["unstarted"] == pytest.approx(1000, abs=150)
    assert row["longest"] == pytest.approx(500, abs=75)
    assert row["starvation"] == row["longest"]
    assert row["late"] > 1500
    assert row["utilisation"] == pytest.approx(1, abs=0.01)
    assert outcome.rows(late=1e9)[0]["late"] == 0


def test_priority_is_worth_aging_seconds_of_waiting() -> None:
    sources = (
        Source(Law.exponential(2.5), (stream("low", Law.fixed(1.0)),)),
        Source(Law.exponential(2.5), (stream("high", Law.fixed(1.0), priority=1.0),)),
    )

    with_aging, without = [simulate(workload(1, *sources), tasks=5000, aging=aging) for aging in (10.0, 0.0)]

    assert sum(with_aging.of("high").waits) < 0.6 * sum(with_aging.of("low").waits)
    assert sum(without.of("high").waits) == pytest.approx(sum(without.of("low").waits), rel=0.2)


def test_what_the_pool_does_not_have_is_refused_and_the_rest_goes_on() -> None:
    sources = (
        Source(Law.fixed(1.0), (stream("plain", Law.fixed(0.5)),)),
        Source(Law.fixed(1.0), (stream("vast", Law.fixed(0.5), count=3),)),
    )

    outcome = simulate(workload(2, *sources), seconds=10)

    assert (outcome.of("vast").refused, outcome.of("vast").waits) == (9, [])
    assert outcome.of("plain").waits == [0.0] * 9
    assert outcome.rows()[2]["mean"] is None


def test_shares_divide_the_arrivals() -> None:
    both = (stream("often", Law.fixed(0.1)), stream("seldom", Law.fixed(0.1)))

    outcome = simulate(workload(5, Source(Law.fixed(0.1), both, (3.0, 1.0))), tasks=8000)

    assert outcome.of("often").arrived == pytest.approx(6000, rel=0.05)
    assert outcome.total.arrived == 8000
    assert outcome.seconds == pytest.approx(800)


def test_it_ends_at_a_time_or_after_so_many_tasks() -> None:
    plain = workload(1, Source(Law.fixed(1.0), (stream("only", Law.fixed(0.75)),)))

    assert simulate(plain, seconds=4.25).of("only") == Tally("only", 0.75, 4, 0, 4 - 1, [0.0] * 4, [], 2.5)
    assert (simulate(plain, tasks=3).seconds, simulate(plain, tasks=3, seconds=2.5).seconds) == (3.0, 2.5)
    assert simulate(plain, tasks=3).of("only").arrived == 3


def test_more_tasks_than_are_allowed_are_refused() -> None:
    plain = workload(1, Source(Law.fixed(1e-3), (stream("only", Law.fixed(1.0)),)))

    with pytest.raises(InvalidRequestError, match=r"1e\+09 tasks; 1,000,000 are allowed"):
        simulate(plain, seconds=1e6, tasks=10**9)


@pytest.mark.parametrize(("part", "value"), [(0.5, 2.0), (0.95, 4.0), (0.25, 1.0), (0.26, 2.0), (1.0, 4.0)])
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(part: float, value: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], part) == value
    assert quantile([], part) is None


LAWS = st.one_of(
    st.floats(0.01, 5).map(Law.fixed),
    st.floats(0.01, 5).map(Law.exponential),
    st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)).map(lambda pair: Law.uniform(min(pair), max(pair))),
)
STREAMS = st.tuples(LAWS, st.integers(1, 4), st.sampled_from("ab"), st.integers(-2, 2))


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    entities = [
        ResourceInstance(f"{kind}{number}", kind, capacity=draw(st.integers(1, 2)))
        for kind in "ab"
        for number in range(draw(st.integers(1, 4)))
    ]
    sources = []
    for number, (duration, count, kind, priority) in enumerate(draw(st.lists(STREAMS, min_size=1, max_size=4))):
        made = replace(stream(str(number), duration, count, kind), priority=float(priority))
        sources.append(Source(draw(LAWS), (made,)))
    return Workload(tuple(entities), tuple(sources))


@settings(max_examples=80, deadline=None)
@given(
    workloads(), st.integers(), st.sampled_from(["first_fit", "best_fit"]), st.floats(0, 20), st.sampled_from([0.0, 10])
)
def test_nothing_is_lost_and_nothing_is_used_twice(
    given: Workload, seed: int, strategy: str, patience: float, aging: float
) -> None:
    outcome = simulate(given, seed=seed, strategy=strategy, patience=patience, aging=aging, tasks=200)

    for one in outcome.tallies:
        assert one.arrived == len(one.waits) + len(one.waiting) + one.refused
        assert 0 <= len(one.waits) - one.completed <= given.capacity
        assert all(0 <= wait <= outcome.seconds for wait in (*one.waits, *one.waiting))
    assert outcome.total.used <= outcome.seconds * given.capacity * (1 + 1e-9)
    kinds = {kind: sum([one.capacity for one in given.entities if one.type == kind]) for kind in "ab"}
    for kind, places in kinds.items():
        used = sum([outcome.of(one.name).used for one in given.streams if one.requirements[0].type == kind])
        assert used <= outcome.seconds * places * (1 + 1e-9)
    for each in given.streams:
        alike = [entity for entity in given.entities if entity.type == each.requirements[0].type]
        tally = outcome.of(each.name)
        assert tally.refused == (tally.arrived if each.requirements[0].count > len(alike) else 0)
