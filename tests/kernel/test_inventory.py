"""One row for each plugin, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from framework import inventory
from framework.discovery import Discovery, Fault
from framework.inventory import Inventory
from framework.manifest import Manifest
from framework.records import PluginRecord, PluginState
from framework.settings import Settings


def found(*manifests: Manifest, faults: tuple[Fault, ...] = (), bundle: tuple[str, ...] = ()) -> Discovery:
    return Discovery({one.name: one for one in manifests}, list(faults), frozenset(bundle))


def take(discovery: Discovery, config: Mapping[str, Any] | None, *registered: PluginRecord) -> Inventory:
    source = {} if config is None else {"plugins": config}
    return inventory.take(discovery, Settings.load(source, environ={}), registered)


def states(taken: Inventory) -> dict[str, str]:
    return {name: record.state.value for name, record in taken.records.items()}


def installed(name: str, **rest: Any) -> Manifest:
    return Manifest(name, f"plugin_{name}:X", "provider", distribution=f"plugin-{name}", **rest)


def test_a_row_says_everything_that_the_manifest_knows() -> None:
    one = installed("one", version="2", description="d", provides={"kinds": ("k",)}, requires=("two",))
    taken = take(found(one, installed("two")), {"one": None, "two": None})
    assert taken.records["one"] == PluginRecord(
        "one", "2", "provider", PluginState.DISCOVERED, ("k",), ("two",), "plugin-one", "d"
    )
    assert taken.plan.order == ("two", "one")


def test_without_configuration_the_first_party_set_is_enabled() -> None:
    taken = take(found(installed("one"), installed("stranger"), bundle=("plugin-one",)), None)
    assert states(taken) == {"one": "discovered", "stranger": "disabled"}


def test_a_plugin_that_is_enabled_but_absent_is_a_row_with_the_nearest_name() -> None:
    taken = take(found(installed("memory")), {"memroy": None})
    assert states(taken) == {"memory": "disabled", "memroy": "failed"}
    assert taken.records["memroy"].reason == ("Plugin 'memroy' is enabled, but not installed. Did you mean 'memory'?")


def test_a_requirement_that_others_could_meet_says_why_they_do_not() -> None:
    user = installed("user", requires=("off.kind",))
    other = installed("other", requires=("bad",))
    off = installed("off", provides={"kinds": ("off.kind",)})
    fault = Fault("bad", "plugin-bad", "It is torn.")
    taken = take(found(user, other, off, faults=(fault,)), dict.fromkeys(("user", "other", "bad")))
    assert states(taken) == {"user": "blocked", "other": "blocked", "off": "disabled", "bad": "failed"}
    assert "but plugin 'off', which provides it, is disabled" in taken.records["user"].reason
    assert "requires 'bad', but that plugin is broken: It is torn" in taken.records["other"].reason
    assert taken.records["user"].phase == "requirements"


def test_a_fault_whose_plugin_is_not_known_is_a_row_too() -> None:
    faults = (Fault("? dist-a", "dist-a", "A is torn."), Fault("? dist-b", "dist-b", "B is torn."))
    rows = take(found(faults=faults), {}).records
    assert [(one.name, one.distribution, one.reason, one.phase) for one in rows.values()] == [
        ("? dist-a", "dist-a", "A is torn.", "discovery"),
        ("? dist-b", "dist-b", "B is torn.", "discovery"),
    ]


def test_what_the_application_registered_wins_unless_the_configuration_says_no() -> None:
    mine = PluginRecord("one", "9", "monitor", PluginState.LOADED)
    taken = take(found(installed("one")), {}, mine)
    assert taken.records["one"] == mine
    assert taken.plan.order == ("one",)
    assert states(take(found(installed("one")), {"one": {"enabled": False}}, mine)) == {"one": "disabled"}


def test_what_is_active_already_meets_requirements() -> None:
    active = PluginRecord("base", "1", "storage", PluginState.ACTIVE, provides=("base.kind",))
    taken = take(found(installed("user", requires=("base.kind",))), {"user": None}, active)
    assert states(taken) == {"user": "discovered", "base": "active"}
    assert taken.plan.needs["user"] == ("base",)


def test_what_a_manifest_says_of_order_and_conflicts_counts() -> None:
    early = installed("early", before=("base",))
    user = installed("user", optional=("base>=2",))
    taken = take(found(installed("base", version="2"), early, user), dict.fromkeys(("base", "early", "user")))
    assert taken.plan.layers == (("early",), ("base",), ("user",))
    rival = installed("rival", conflicts=("base",))
    fight = take(found(installed("base"), rival), dict.fromkeys(("base", "rival")))
    assert states(fight) == {"base": "blocked", "rival": "blocked"}
    assert "conflicts with plugin 'base'" in fight.records["rival"].reason


def test_a_newcomer_in_conflict_with_an_active_plugin_is_blocked_alone() -> None:
    active = PluginRecord("base", "1", "storage", PluginState.ACTIVE)
    taken = take(
        found(installed("rival", conflicts=("base",)), installed("base")), {"rival": None, "base": None}, active
    )
    assert states(taken) == {"rival": "blocked", "base": "active"}


def test_what_only_needs_to_be_enabled_is_told_before_what_is_broken() -> None:
    off, broken = (
        PluginRecord(n, "1", "", s, ("k",)) for n, s in (("a", PluginState.DISABLED), ("z", PluginState.FAILED))
    )
    stopped = PluginRecord("s", "1", "", PluginState.STOPPED)
    users = (installed("user", requires=("k",)), installed("other", requires=("s",)))
    taken = take(found(*users), dict.fromkeys(("user", "other")), broken, off, stopped)
    assert "'k', but plugin 'a', which provides it, is disabled." in taken.records["user"].reason
    assert taken.records["other"].reason == "Plugin 'other' requires 's', but that plugin is stopped."


def test_the_candidates_are_all_that_are_to_run() -> None:
    taken = take(
        found(installed("one", requires=("two",)), installed("two"), installed("off")), {"one": None, "x": None}
    )
    assert [one.name for one in taken.candidates] == ["one"]
    assert next(taken.plan.chain("one")).cause.value == "unavailable"


def test_a_plugin_in_quarantine_is_kept_out_with_its_dependants() -> None:
    discovery = found(installed("bad"), installed("user", requires=("bad",)))
    settings = Settings.load({"plugins": {"bad": None, "user": None}}, environ={})
    taken = inventory.take(discovery, settings, quarantined={"bad": "It died.", "stranger": "It died, too."})
    assert states(taken) == {"bad": "quarantined", "user": "blocked"}
    assert taken.records["bad"].reason.startswith("It died. `framework plugins unquarantine bad`")
    assert "that plugin is quarantined: It died" in taken.records["user"].reason


def test_those_that_can_run_and_promise_the_same_are_named_in_each_others_rows() -> None:
    def rival(name: str, **rest: Any) -> Manifest:
        return installed(name, provides={"kinds": ("a.b",), "services": ("a.b",)}, **rest)

    there = found(rival("one"), rival("two"), rival("off"), rival("blocked", requires=("absent",)), installed("calm"))
    taken = take(there, {"one": None, "two": None, "blocked": None, "calm": None})
    for name, other in (("one", "two"), ("two", "one")):
        kind, service = taken.records[name].warnings
        assert kind.startswith(f"Also plugin {other!r} promises the kind 'a.b'")
        assert service.startswith(f"Also plugin {other!r} promises the service 'a.b'")
    assert {name for name, record in taken.records.items() if record.warnings} == {"one", "two"}

    active = replace(taken.records["one"], state=PluginState.ACTIVE, warnings=(*taken.records["one"].warnings, "else"))
    alone = take(found(rival("one"), rival("two")), {"one": None}, active)
    assert alone.records["one"].warnings == ("else",)
