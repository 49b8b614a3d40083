"""The resolver against its definition, taken literally: every set of plugins is tried, on random graphs."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from framework.resolver import Candidate, Plan, ordering, resolve

NAMES = [f"p{number}" for number in range(7)]
CAPABILITIES = ["x", "y", "z"]
RANGES = {"": {1, 2, 3}, ">=2": {2, 3}, "<2": {1}, "==2": {2}, ">=1,<3": {1, 2}}

Set = frozenset[str]
Edges = dict[str, set[str]]

some_names = st.lists(st.sampled_from(NAMES), max_size=3)
texts = st.builds(
    str.__add__, st.sampled_from([*NAMES, *CAPABILITIES, *CAPABILITIES, "absent"]), st.sampled_from(["", "", *RANGES])
)


@st.composite
def candidates(draw: st.DrawFn, *, conflicts: bool = True, most: int = 7) -> list[Candidate]:
    return [
        Candidate(
            name,
            str(draw(st.integers(1, 3))),
            draw(st.lists(st.sampled_from(CAPABILITIES), max_size=2, unique=True)),
            draw(st.lists(texts, max_size=2)),
            draw(some_names),
            draw(st.lists(texts, max_size=2)),
            draw(some_names),
            draw(st.lists(texts, max_size=1)) if conflicts else (),
            draw(st.sampled_from([False, False, False, True])),
        )
        for name in draw(
            st.lists(st.sampled_from(NAMES), unique=True, min_size=draw(st.integers(0, most)), max_size=most)
        )
    ]


class Definition:
    """What the resolver promises, by trying every set."""

    def __init__(self, given_: list[Candidate]) -> None:
        self.all = {one.name: one for one in given_}
        self.fights = {(one, other) for one in self.all for other in self.all if self._fight(one, other)}

    def fits(self, text: str, other: str) -> bool:
        name, versions = split(text)
        return self.offers(name, other) and int(self.all[other].version) in RANGES[versions]

    def offers(self, name: str, other: str) -> bool:
        return name == other or name in self.all[other].provides

    def _fight(self, one: str, other: str) -> bool:
        pairs = ((one, other), (other, one))
        return one != other and any(self.fits(text, b) for a, b in pairs for text in self.all[a].conflicts)

    def meets(self, text: str, user: str, other: str) -> bool:
        return other != user and (user, other) not in self.fights and self.fits(text, other)

    def fed(self, name: str, others: Iterable[str]) -> bool:
        return all(any(self.meets(text, name, one) for one in others) for text in self.all[name].requires)

    @functools.cached_property
    def startable(self) -> set[Set]:
        """Every set whose members can start one after the other."""
        found = {Set()}
        for some in sorted(subsets(self.all), key=len)[1:]:
            if any(some - {last} in found and self.fed(last, some - {last}) for last in some):
                found.add(some)
        return found

    def greatest(self, out: Set) -> Set:
        best = Set().union(*(some for some in self.startable if not some & out))
        assert best in self.startable  # there is one that contains all others
        return best

    def out(self, ready: Set) -> Set:
        """Who yields when those have all that they require."""
        fighting = {one for one in ready for other in ready if (one, other) in self.fights}
        return Set(one for one in fighting if not self.all[one].settled)

    def ready(self, ready: Set) -> Set:
        """Who has all that it requires when the conflicts among those count."""
        running = self.greatest(self.out(ready))
        return Set(name for name in self.all if self.fed(name, running))

    def runs(self) -> tuple[Set, Set]:
        """Return who runs, and who stays out because of a conflict."""
        steady = [some for some in subsets(self.all) if self.ready(self.ready(some)) == some]
        certain = Set.intersection(*steady)
        assert certain in steady
        out = self.out(self.ready(certain))
        return self.greatest(out), out


def split(text: str) -> tuple[str, str]:
    name = re.split("[<>=]", text)[0]
    return name, text.removeprefix(name)


def subsets(names: Iterable[str]) -> Iterator[Set]:
    found = [Set()]
    for name in names:
        found += [one | {name} for one in found]
    return iter(found)


def reachable(start: str, edges: Edges) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = edges[todo.pop()] - found
        found |= new
        todo += new
    return found


def merged(*graphs: Edges) -> Edges:
    return {name: set().union(*(one[name] for one in graphs)) for name in graphs[0]}


def preferred(text: str, options: Iterable[str]) -> str | None:
    """Who is called so, or else the first by name."""
    return min(options, key=lambda one: (split(text)[0] != one, one), default=None)


def check_bindings(found: Plan, truth: Definition) -> tuple[Edges, Edges]:
    """Each requirement is met by the preferred plugin unless that closes a cycle; return needs and optional edges."""
    best: dict[str, dict[str, dict[str, str]]] = {}
    for kind in ("requires", "optional"):
        best[kind] = {}
        for name in found.order:
            options = {
                text: preferred(text, (one for one in found.order if truth.meets(text, name, one)))
                for text in getattr(truth.all[name], kind)
            }
            best[kind][name] = {text: one for text, one in options.items() if one is not None}
    needs = {name: set(others) for name, others in found.needs.items()}
    for name, bound in found.bound.items():
        assert bound.keys() == set(truth.all[name].requires)
        assert all(truth.meets(text, name, one) for text, one in bound.items())
        assert set(bound.values()) == needs[name]
        assert name not in reachable(name, needs)
    ideal = {name: set(bound.values()) for name, bound in best["requires"].items()}
    if not any(name in reachable(name, ideal) for name in ideal):
        assert found.bound == best["requires"]
    soft = {name: set(bound.values()) for name, bound in best["optional"].items()}
    both = merged(needs, soft) if needs else {}
    for name, bound in best["optional"].items():
        free = {text: one for text, one in bound.items() if name not in reachable(one, both)}
        also_needed = {text: one for text, one in bound.items() if one in needs[name]}
        assert found.optional[name] == free | also_needed
    return needs, {name: set(found.optional[name].values()) for name in needs}


def check_layers(found: Plan, truth: Definition) -> None:
    place = {name: number for number, layer in enumerate(found.layers) for name in layer}
    assert found.order == tuple(name for layer in found.layers for name in layer)
    assert all(list(layer) == sorted(layer) and layer for layer in found.layers)
    needs, soft = check_bindings(found, truth)
    wishes: Edges = {name: {one for one in truth.all[name].after if one in place} - {name} for name in place}
    for name in place:
        for other in set(truth.all[name].before) & place.keys() - {name}:
            wishes[other].add(name)
    every = merged(needs, soft, wishes) if needs else {}
    firm = merged(needs, soft) if needs else {}
    kept = {name: {one for one in others if name not in reachable(one, every)} for name, others in every.items()}
    waits = merged(firm, kept) if needs else {}
    for name, others in waits.items():
        # in the first layer after all that it waits for: neither too early, nor later than it need be
        assert place[name] == max((place[one] + 1 for one in others), default=0)


@given(candidates())
def test_exactly_those_are_blocked_that_cannot_run(wanted: list[Candidate]) -> None:
    found = resolve(wanted)
    truth = Definition(wanted)
    running, out = truth.runs()
    assert set(found.order) == found.needs.keys() == running
    assert len(found.order) == len(running)
    assert found.blocked.keys() == found.steps.keys() == truth.all.keys() - running
    fighting = {name for name, step in found.steps.items() if step.cause.value == "conflict"}
    assert out == fighting
    assert not any(one in running and other in running and not truth.all[one].settled for one, other in truth.fights)


@given(candidates(conflicts=False))
def test_without_conflicts_everything_runs_that_can(wanted: list[Candidate]) -> None:
    assert set(resolve(wanted).order) == max(Definition(wanted).startable, key=len)


@given(candidates(most=6))
def test_layers_and_bindings_follow_the_rules(wanted: list[Candidate]) -> None:
    check_layers(resolve(wanted), Definition(wanted))


def roots(truth: Definition, found: Plan) -> dict[str, Callable[[str, str, tuple[str, ...]], bool]]:
    """Return for each cause whether it really is one, for a plugin, its requirement and the others named."""

    def offered(text: str) -> bool:
        return any(truth.offers(split(text)[0], one) for one in truth.all)

    def cycle(name: str, text: str, ring: tuple[str, ...]) -> bool:
        pairs = zip(ring, (*ring[1:], ring[0]), strict=True)
        return name in ring and all(any(truth.fits(t, b) for t in truth.all[a].requires) for a, b in pairs)

    def conflict(name: str, text: str, others: tuple[str, ...]) -> bool:
        return bool(others) and all((name, one) in truth.fights for one in others)

    def contradiction(name: str, text: str, others: tuple[str, ...]) -> bool:
        return set(others) == {one for one in truth.all if truth.fits(text, one)} and conflict(name, text, others)

    def version(name: str, text: str, others: tuple[str, ...]) -> bool:
        return offered(text) and not any(truth.fits(text, one) for one in truth.all) and bool(others)

    def blocked(name: str, text: str, others: tuple[str, ...]) -> bool:
        meeting = {one for one in truth.all if truth.meets(text, name, one)}
        return set(others) == meeting and not meeting & set(found.order)

    return {
        "missing": lambda _, text, others: not offered(text),
        "version": version,
        "cycle": cycle,
        "conflict": conflict,
        "contradiction": contradiction,
        "blocked": blocked,
    }


@given(candidates())
def test_every_chain_of_reasons_is_true_and_ends_at_a_root(wanted: list[Candidate]) -> None:
    found = resolve(wanted)
    truth = Definition(wanted)
    true = roots(truth, found)
    for name, reason in found.blocked.items():
        chain = list(found.chain(name))
        assert chain[0].plugin == name
        assert [step.cause.value for step in chain[:-1]] == ["blocked"] * (len(chain) - 1)
        assert chain[-1].cause.value != "blocked"
        for step, following in itertools.pairwise(chain):
            assert following.plugin == step.others[0]
        for step in chain:
            assert true[step.cause.value](step.plugin, step.requirement, step.others), step
            assert step.text.startswith(f"Plugin {step.plugin!r} ")
            assert step.text in reason
        assert reason.endswith(".")


edges = st.fixed_dictionaries({name: st.sets(st.sampled_from(NAMES), max_size=3) for name in NAMES})


@given(edges)
def test_cycles_are_found_whole_and_apart(graph: Edges) -> None:
    far = {name: reachable(name, graph) for name in graph}
    rings = {name: min(one for one in far[name] if name in far[one]) for name in graph if name in far[name]}
    assert ordering.components(graph) == rings


@given(edges, edges)
def test_only_wishes_on_cycles_are_left_out(drawn: Edges, soft: Edges) -> None:
    firm = {name: {one for one in others if one < name} for name, others in drawn.items()}
    both = merged(firm, soft)
    kept = {name: {one for one in others if name not in reachable(one, both) | {one}} for name, others in soft.items()}
    assert ordering.untangle(firm, soft) == merged(firm, kept)


@given(candidates().flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_plan_does_not_depend_on_the_order_of_the_input(both: tuple[list[Candidate], list[Candidate]]) -> None:
    assert resolve(both[0]) == resolve(both[1])
    assert repr(resolve(both[0])) == repr(resolve(both[1]))
