"""Plugins are ordered by what they require; what cannot run is told why, down to the root of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from framework import resolver
from framework.resolver import Candidate, Plan, resolve


def plan(*candidates: Candidate, **elsewhere: str) -> Plan:
    return resolve(candidates, elsewhere)


def test_what_is_required_starts_first_and_names_break_ties() -> None:
    found = plan(Candidate("c", requires=["a"]), Candidate("b"), Candidate("a"), Candidate("aa", requires=["b"]))
    assert found.order == ("a", "b", "aa", "c")
    assert found.needs == {"a": (), "aa": ("b",), "b": (), "c": ("a",)}
    assert found.blocked == {}


def test_a_capability_is_met_by_the_first_plugin_by_name_that_fits() -> None:
    user = Candidate("user", requires=["file.temp>=2"])
    found = plan(Candidate("x1", "1.0", ["file.temp"]), Candidate("x3", "3", ["file.temp"]), Candidate("x2", "2"), user)
    assert found.needs["user"] == ("x3",)


def test_nothing_at_all_has_an_empty_plan() -> None:
    assert plan() == Plan((), {}, {})


def test_a_missing_requirement_blocks_its_dependants_with_the_whole_chain() -> None:
    found = plan(
        Candidate("app", requires=["index"]),
        Candidate("index", requires=["store.rows"]),
        Candidate("store", provides=["store.rows"], requires=["absent"]),
        Candidate("other"),
    )
    assert found.order == ("other",)
    root = "Plugin 'store' requires 'absent', which no installed plugin is called or provides"
    link = f"Plugin 'index' requires 'store.rows', which plugin 'store' provides, which is blocked: {root}"
    assert found.blocked == {
        "store": f"{root}.",
        "index": f"{link}.",
        "app": f"Plugin 'app' requires 'index', which is blocked: {link}.",
    }


def test_a_misspelt_requirement_is_answered_with_the_nearest_name() -> None:
    found = plan(Candidate("memory", provides=["memory.shared"]), Candidate("x", requires=["memory.shard"]))
    assert "Did you mean 'memory.shared'?" in found.blocked["x"]


def test_what_only_others_provide_is_explained() -> None:
    found = plan(Candidate("x", requires=["file"]), file="that plugin is disabled")
    assert found.blocked["x"] == "Plugin 'x' requires 'file', but that plugin is disabled."


def test_only_the_members_of_a_cycle_and_their_dependants_are_blocked() -> None:
    found = plan(
        Candidate("a", requires=["b"]),
        Candidate("b", requires=["c.thing"]),
        Candidate("c", provides=["c.thing"], requires=["a"]),
        Candidate("dependant", requires=["b"]),
        Candidate("needed"),
        Candidate("z", requires=["z"]),
    )
    assert found.order == ("needed",)
    for name in ("a", "b", "c"):
        assert found.blocked[name] == f"Plugin {name!r} is part of the cycle of requirements a -> b -> c -> a."
    assert found.blocked["z"] == "Plugin 'z' is part of the cycle of requirements z -> z."
    assert found.blocked["dependant"].startswith(
        "Plugin 'dependant' requires 'b', which is blocked: Plugin 'b' is part"
    )


def test_every_member_of_two_cycles_through_one_plugin_is_told_a_cycle_it_is_in() -> None:
    found = plan(
        Candidate("hub", requires=["l", "r"]), Candidate("l", requires=["hub"]), Candidate("r", requires=["hub"])
    )
    assert found.order == ()
    assert "hub -> l -> hub" in found.blocked["l"]
    assert "hub -> r -> hub" in found.blocked["r"]
    assert "hub -> l -> hub" in found.blocked["hub"]


def test_a_dependant_of_a_cycle_with_another_provider_runs() -> None:
    ring = [Candidate("a", provides=["thing"], requires=["b"]), Candidate("b", requires=["a"])]
    found = plan(*ring, Candidate("user", requires=["thing"]), Candidate("z", provides=["thing"]))
    assert found.order == ("z", "user")
    assert found.blocked.keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("1.0", ">=1", True),
        ("1.0", ">=1,<2", True),
        ("2.0", ">=1,<2", False),
        ("0.9", "==0.9", True),
        ("1.4.9", "~=1.4", True),
        ("2.0rc1", ">=1", True),
        ("", ">=0", False),
        ("not a version", ">=0", False),
        ("not a version", "", True),
    ],
)
def test_a_version_range_is_met_or_the_version_found_is_named(version: str, wanted: str, fits: bool) -> None:
    found = plan(Candidate("base", version), Candidate("x", requires=[f"base {wanted}"]))
    assert ("x" in found.order) is fits
    if not fits:
        assert f"but found is base {version or '(no version)'}" in found.blocked["x"]


@pytest.mark.parametrize("requirement", ["", "  ", "-x", "a b", "base >>1", "base>=one", "base @ 1", "base[extra]"])
def test_a_malformed_requirement_blocks_only_who_wrote_it(requirement: str) -> None:
    found = plan(Candidate("base", "1"), Candidate("x", requires=[requirement]))
    assert found.order == ("base",)
    assert "malformed" in found.blocked["x"]


def test_a_requirement_is_parsed_into_name_and_range() -> None:
    assert resolver.parse(" executor.thread >=0.1, <1 ") == ("executor.thread", ">=0.1, <1")
    assert resolver.parse("my-plugin_2") == ("my-plugin_2", "")


def test_after_orders_but_never_blocks() -> None:
    found = plan(Candidate("a", after=["z", "absent", "a"]), Candidate("m"), Candidate("z", requires=["m"]))
    assert found.order == ("m", "z", "a")
    assert found.blocked == {}


def test_a_wish_that_a_requirement_contradicts_is_dropped_and_the_others_are_kept() -> None:
    found = plan(Candidate("a", after=["b"]), Candidate("b", requires=["a"], after=["c"]), Candidate("c"))
    assert found.order == ("a", "c", "b")
    assert plan(Candidate("a", after=["b", "c"]), Candidate("b", after=["a"]), Candidate("c")).order == ("b", "c", "a")


def test_the_plugin_that_is_called_like_the_requirement_is_preferred() -> None:
    found = plan(Candidate("a", provides=["store"]), Candidate("store"), Candidate("user", requires=["store"]))
    assert found.bound["user"] == {"store": "store"}
    others = plan(
        Candidate("b", provides=["store"]), Candidate("a", provides=["store"]), Candidate("u", "", [], ["store"])
    )
    assert others.needs["u"] == ("a",)


def test_another_provider_serves_where_the_preferred_one_is_blocked() -> None:
    found = plan(
        Candidate("store", requires=["absent"]),
        Candidate("other", provides=["store"]),
        Candidate("user", requires=["store"]),
    )
    assert found.bound["user"] == {"store": "other"}
    assert found.blocked.keys() == {"store"}


def test_a_cycle_that_another_provider_breaks_blocks_nobody() -> None:
    found = plan(
        Candidate("engine", provides=["power"], requires=["fuel"]),
        Candidate("pump", provides=["fuel"], requires=["power"]),
        Candidate("socket", provides=["power"]),
    )
    assert found.blocked == {}
    assert found.layers == (("socket",), ("pump",), ("engine",))


def test_a_preferred_provider_that_needs_the_plugin_in_turn_gives_way() -> None:
    found = plan(
        Candidate("a", provides=["cap"], requires=["user"]),
        Candidate("user", requires=["cap"]),
        Candidate("z", provides=["cap"]),
        Candidate("bystander", requires=["cap"]),
    )
    assert found.bound["user"] == {"cap": "z"}
    assert found.bound["bystander"] == {"cap": "a"}
    assert found.layers == (("z",), ("user",), ("a",), ("bystander",))


def test_a_plugin_does_not_meet_its_own_requirement() -> None:
    mirror = Candidate("mirror", provides=["light"], requires=["light"])
    assert plan(mirror).blocked["mirror"] == "Plugin 'mirror' is part of the cycle of requirements mirror -> mirror."
    assert plan(mirror, Candidate("sun", provides=["light"])).order == ("sun", "mirror")
    dark = plan(mirror, Candidate("sun", provides=["light"], requires=["absent"]))
    assert dark.blocked["mirror"].startswith("Plugin 'mirror' requires 'light', which plugin 'sun' provides, which is")


def test_layers_hold_what_can_start_at_once() -> None:
    found = plan(
        Candidate("base"),
        Candidate("left", requires=["base"]),
        Candidate("right", requires=["base"]),
        Candidate("top", requires=["left"], after=["right"]),
        Candidate("alone"),
    )
    assert found.layers == (("alone", "base"), ("left", "right"), ("top",))
    assert found.order == ("alone", "base", "left", "right", "top")


def test_before_is_after_seen_from_the_other_side() -> None:
    found = plan(Candidate("z", before=["a", "absent", "z"]), Candidate("a"))
    assert found.layers == (("z",), ("a",))
    assert plan(Candidate("z", before=["a"], after=["a"]), Candidate("a")).layers == (("a", "z"),)


def test_an_optional_requirement_orders_and_binds_where_something_fits() -> None:
    user = Candidate("a", optional=["cache>=2"])
    assert plan(user, Candidate("z", "2", ["cache"])).order == ("z", "a")
    assert plan(user, Candidate("z", "2", ["cache"])).optional["a"] == {"cache>=2": "z"}
    assert plan(user, Candidate("z", "2", ["cache"])).needs["a"] == ()


@pytest.mark.parametrize(
    "other",
    [
        Candidate("z", "1", ["cache"]),
        Candidate("z", "2", ["cache"], ["absent"]),
        Candidate("z", "2", ["cache"], ["a"]),
        Candidate("z", "2", ["cache"], optional=["a"]),
    ],
    ids=["too old", "blocked", "needs the plugin", "would like the plugin"],
)
def test_an_optional_requirement_that_cannot_be_met_is_left_out(other: Candidate) -> None:
    found = plan(Candidate("a", optional=["cache>=2", "-malformed", "absent"]), other)
    assert found.optional["a"] == {}
    assert "a" in found.layers[0]


def test_an_optional_requirement_outranks_a_wish() -> None:
    found = plan(Candidate("a", optional=["z"]), Candidate("z", after=["a"]))
    assert found.order == ("z", "a")


def test_of_two_in_conflict_neither_runs_and_both_are_told() -> None:
    found = plan(Candidate("a", conflicts=["b"]), Candidate("b"), Candidate("user", requires=["a"]), Candidate("free"))
    assert found.order == ("free",)
    assert found.blocked["a"] == "Plugin 'a' conflicts with plugin 'b'; only one of them can be enabled."
    assert found.blocked["b"] == "Plugin 'b' conflicts with plugin 'a'; only one of them can be enabled."
    assert found.blocked["user"].endswith("Plugin 'a' conflicts with plugin 'b'; only one of them can be enabled.")
    assert found.steps["a"].requirement == "b"
    assert found.steps["b"].requirement == ""


def test_a_conflict_may_name_a_capability_and_a_range() -> None:
    mine = Candidate("a", "1", ["store"], conflicts=["store<2"])
    assert plan(mine, Candidate("b", "1", ["store"])).blocked.keys() == {"a", "b"}
    assert plan(mine, Candidate("b", "2", ["store"])).blocked == {}


def test_what_is_blocked_anyway_conflicts_with_nobody() -> None:
    found = plan(Candidate("a", conflicts=["b"]), Candidate("b", requires=["absent"]))
    assert found.order == ("a",)


def test_a_conflict_is_decided_before_those_that_depend_on_it() -> None:
    found = plan(
        Candidate("a", conflicts=["b"]), Candidate("b", requires=["c"]), Candidate("c", conflicts=["d"]), Candidate("d")
    )
    assert found.order == ("a",)
    assert "'b' requires 'c', which is blocked" in found.blocked["b"]


def test_conflicts_that_depend_on_each_other_all_count() -> None:
    found = plan(
        Candidate("a", conflicts=["b"]),
        Candidate("b"),
        Candidate("needs-a", requires=["a"], conflicts=["c"]),
        Candidate("c"),
        Candidate("odd", requires=["middle"]),
        Candidate("middle", requires=["even"]),
        Candidate("even", conflicts=["odd"]),
    )
    assert found.order == ("c",)
    assert {name: step.cause.value for name, step in found.steps.items()} == {
        "a": "conflict",
        "b": "conflict",
        "needs-a": "blocked",
        "odd": "conflict",
        "middle": "blocked",
        "even": "conflict",
    }


def test_who_requires_what_conflicts_with_it_blocks_only_itself() -> None:
    assert plan(Candidate("a", requires=["b"]), Candidate("b", conflicts=["a"])).order == ("b",)
    found = plan(Candidate("a", requires=["b"], conflicts=["b"]), Candidate("b"))
    assert found.order == ("b",)
    assert "requires 'b', but conflicts with plugin 'b', which would meet it" in found.blocked["a"]
    spared = plan(Candidate("a", requires=["k"], conflicts=["b"]), Candidate("b", "", ["k"]), Candidate("c", "", ["k"]))
    assert spared.steps["a"].cause.value == "conflict"
    assert spared.steps.keys() == {"a", "b"}
    assert found.steps["a"].cause.value == "contradiction"


def test_what_runs_already_stays_when_a_newcomer_conflicts_with_it() -> None:
    found = plan(Candidate("new", conflicts=["old"]), Candidate("old", settled=True))
    assert found.order == ("old",)
    assert "conflicts with plugin 'old'" in found.blocked["new"]


@pytest.mark.parametrize("conflict", ["", "-x", "b >>1", "b>=one"])
def test_a_malformed_conflict_blocks_who_wrote_it(conflict: str) -> None:
    found = plan(Candidate("a", conflicts=[conflict]), Candidate("b", "1"))
    assert found.order == ("b",)
    assert "malformed" in found.blocked["a"]


def test_the_sentence_about_a_long_chain_leaves_its_middle_out_but_the_chain_does_not() -> None:
    found = resolve([Candidate(f"p{n:03}", requires=[f"p{n - 1:03}" if n else "absent"]) for n in range(300)])
    reason = found.blocked["p299"]
    assert reason.startswith("Plugin 'p299' requires 'p298', which is blocked: Plugin 'p298' requires")
    assert ": and so on over 293 more: Plugin 'p000' requires 'absent', which no installed" in reason
    assert len(reason) < 700
    assert [step.plugin for step in found.chain("p299")] == [f"p{n:03}" for n in reversed(range(300))]
    assert found.blocked["p007"].count("Plugin ") == 8


def test_the_sentence_about_a_large_cycle_or_crowd_is_short() -> None:
    ring = resolve([Candidate(f"p{n:03}", requires=[f"p{(n + 1) % 300:03}"]) for n in range(300)])
    assert "p000 -> p001 -> " in ring.blocked["p150"]
    assert " -> (292 more) -> p000." in ring.blocked["p150"]
    assert len(ring.steps["p150"].others) == 300
    crowd = resolve([Candidate(f"p{n:03}", provides=["k"], conflicts=["k"]) for n in range(300)])
    assert "and 291 more" in crowd.blocked["p000"]
    assert all(len(reason) < 200 for reason in [*ring.blocked.values(), *crowd.blocked.values()])


def test_each_step_of_a_chain_names_plugin_requirement_and_cause() -> None:
    found = plan(
        Candidate("app", requires=["index>=1"]),
        Candidate("index", "1", requires=["rows"]),
        Candidate("s1", provides=["rows"], requires=["base>=2"]),
        Candidate("s2", provides=["rows"], requires=["off"]),
        Candidate("base", "1"),
        off="that plugin is disabled",
    )
    steps = [(step.plugin, step.requirement, step.cause.value, step.others) for step in found.chain("app")]
    assert steps == [
        ("app", "index>=1", "blocked", ("index",)),
        ("index", "rows", "blocked", ("s1", "s2")),
        ("s1", "base>=2", "version", ("base",)),
    ]
    assert found.steps["s2"].cause.value == "unavailable"
    assert "requires 'rows', which plugins 's1', 's2' provide, which are all blocked" in found.blocked["app"]
    assert list(found.chain("base")) == []


def test_the_plan_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from framework.resolver import Candidate as C, resolve\n"
        "ring = [C(f'r{n}', provides=['cap'], requires=[f'r{(n + 1) % 7}', f'r{(n * 3 + 2) % 7}']) for n in range(7)]\n"
        "soft = [C(f's{n}', after=[f's{(n * k + 1) % 9}' for k in range(1, 5)]) for n in range(9)]\n"
        "rest = [C('z', provides=['cap']), C('user', requires=['cap', 's1'])]\n"
        "print(resolve([*ring, *soft, *rest]))\n"
    )
    outputs = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
