from hypothesis import given
from hypothesis import strategies as st

from plugin_system.rates import LEAST_SECONDS, Rate


def test_the_first_look_knows_no_rate() -> None:
    rate = Rate()
    assert not rate.seen
    assert rate.of(1000, 5.0) == 0.0
    assert rate.seen


def test_it_is_the_difference_between_two_looks() -> None:
    rate = Rate()
    rate.of(100, 1.0)
    assert rate.of(150, 3.0) == 25.0
    assert rate.of(150, 4.0) == 0.0


def test_a_counter_that_goes_back_keeps_the_former_rate_and_starts_anew() -> None:
    rate = Rate()
    rate.of(100, 1.0)
    rate.of(150, 2.0)
    assert rate.of(10, 3.0) == 50.0
    assert rate.of(30, 4.0) == 20.0


def test_time_that_stands_still_or_goes_back_keeps_the_former_rate() -> None:
    rate = Rate()
    rate.of(0, 1.0)
    rate.of(10, 2.0)
    assert rate.of(500, 2.0) == 10.0
    assert rate.of(500, 1.5) == 10.0
    assert rate.of(510, 2.5) == 10.0


def test_looks_that_are_near_add_up() -> None:
    rate = Rate()
    rate.of(0, 1.0)
    assert rate.of(1, 1.0 + LEAST_SECONDS / 2) == 0.0
    assert rate.of(2, 2.0) == 2.0


def test_another_counter_is_not_compared_with_the_former_one() -> None:
    rate = Rate()
    rate.of(0, 1.0, "machine")
    rate.of(10, 2.0, "machine")
    assert rate.of(1_000_000, 3.0, "/a") == 10.0
    assert rate.of(1_000_005, 4.0, "/a") == 5.0


@given(st.lists(st.tuples(st.floats(0, 1e15), st.floats(0, 1e9), st.sampled_from("ab")), max_size=30))
def test_no_rate_is_ever_negative_or_no_number(looks: list[tuple[float, float, str]]) -> None:
    rate = Rate()
    for value, now, key in looks:
        assert 0.0 <= rate.of(value, now, key) < float("inf")
