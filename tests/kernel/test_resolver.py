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
