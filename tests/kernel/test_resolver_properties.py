"""The resolver against a reference that is too simple to be wrong, on random graphs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framework.resolver import Candidate, Plan, resolve

NAMES = [f"p{number}" for number in range(7)]
CAPABILITIES = ["x", "y", "z"]


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=7))
    some_names = st.lists(st.sampled_from(NAMES), max_size=3)
    some_capabilities = st.lists(st.sampled_from(CAPABILITIES), max_size=2, unique=True)
    wants = st.lists(st.sampled_from([*NAMES, *NAMES, *CAPABILITIES, "absent"]), max_size=2)
    return [Candidate(name, "1", draw(some_capabilities), draw(wants), draw(some_names)) for name in names]


def provider(wanted: str, alive: dict[str, Candidate]) -> str | None:
    offers = [one.name for one in alive.values() if wanted == one.name or wanted in one.provides]
    return min(offers, default=None)


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    while True:
        more = found | {other for name in {start} & edges.keys() | found for other in edges[name]}
        if more == found:
            return found
        found = more


def reference(given_: list[Candidate]) -> tuple[dict[str, set[str]], set[str]]:
    """Return what each runnable plugin needs, and who is blocked: take away who cannot run until nobody is left to."""
    alive = {one.name: one for one in given_}
    while True:
        unmet = {one.name for one in alive.values() if None in {provider(want, alive) for want in one.requires}}
        edges: dict[str, set[str]] = {}
        if not unmet:
            edges = {one.name: {provider(want, alive) or "" for want in one.requires} for one in alive.values()}
            unmet = {name for name in edges if name in reachable(name, edges)}
        if not unmet:
            return edges, {one.name for one in given_} - alive.keys()
        alive = {name: one for name, one in alive.items() if name not in unmet}


def check_order(found: Plan, wanted: list[Candidate], needs: dict[str, set[str]]) -> None:
    place = {name: number for number, name in enumerate(found.order)}
    assert all(place[need] < place[name] for name, others in needs.items() for need in others)
    wishes = {one.name: set(one.after) & place.keys() for one in wanted if one.name in place}
    every = {name: needs[name] | wishes[name] for name in place}
    for name, others in wishes.items():
        for other in others:
            if name not in reachable(other, every):  # the wish is on no cycle, so it can be met
                assert place[other] < place[name]


@given(candidates())
def test_exactly_those_are_blocked_that_cannot_run(wanted: list[Candidate]) -> None:
    found = resolve(wanted)
    needs, blocked = reference(wanted)
    assert set(found.blocked) == blocked
    assert set(found.order) == {one.name for one in wanted} - blocked
    assert len(found.order) == len(set(found.order))
    assert {name: set(others) for name, others in found.needs.items()} == needs
    check_order(found, wanted, needs)


@given(candidates())
def test_every_reason_names_the_plugin_and_what_stops_it(wanted: list[Candidate]) -> None:
    found = resolve(wanted)
    by_name = {one.name: one for one in wanted}
    for name, reason in found.blocked.items():
        assert reason.startswith(f"Plugin {name!r} ")
        assert reason.endswith(".")
        assert "cycle" in reason or any(repr(want) in reason for want in by_name[name].requires)
        assert "which no installed plugin" in reason or "cycle" in reason


@given(candidates().flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_plan_does_not_depend_on_the_order_of_the_input(both: tuple[list[Candidate], list[Candidate]]) -> None:
    assert resolve(both[0]) == resolve(both[1])
