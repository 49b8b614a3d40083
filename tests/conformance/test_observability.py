"""Whatever is lent, its life is seen in the same way: the same events, spans and counters, with the same labels."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from framework.recovery import held

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lives.py")

LIFE = ["acquired", "used", "released", "acquired", "expired", "released", "acquired", "refused", "released"]
SAID = {"event", "level", "lease", "kind", "resource", "owner", "size"}
MORE = {"used": {"usage"}, "refused": {"reason"}, "reclaimed": {"pid", "outcome", "reason"}}
ATTRIBUTES = {f"framework.{one}" for one in ("kind", "resource", "owner", "size")}
SPANS = [
    ("lease.acquire", "UNSET", ""),
    ("lease.use", "UNSET", ""),
    ("lease.release", "UNSET", ""),
    ("lease.acquire", "UNSET", ""),
    ("lease.expire", "UNSET", ""),
    ("lease.release", "UNSET", "lease.expire"),
    ("lease.acquire", "UNSET", ""),
    ("lease.acquire", "ERROR", ""),
    ("lease.release", "UNSET", ""),
]

OURS = "deployed"
"""The usage that the life marks; what some kinds say of themselves as they are used may come in between."""

Lives = dict[str, dict[str, Any]]


def run(what: str, folder: Path) -> Lives:
    done = subprocess.run([sys.executable, PROGRAM, what], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    lives: Lives = json.loads(done.stdout.splitlines()[-1])
    return lives


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lives")


@pytest.fixture(scope="module")
def lives(folder: Path) -> Lives:
    return run("life", folder)


def test_the_events_of_all_kinds_have_the_same_names_in_the_same_order_and_the_same_keys(lives: Lives) -> None:
    assert {"dummy.thing", "sample.file"} < lives.keys()
    for kind, life in lives.items():
        ours = [one for one in life["events"] if one.get("usage", OURS) == OURS]
        assert [one["event"] for one in ours] == [f"lease_{one}" for one in LIFE], kind
        for one in life["events"]:
            name = one["event"].removeprefix("lease_")
            assert one.keys() == SAID | MORE.get(name, set()), (kind, name)
            assert (one["owner"], one["level"]) == ("life", "debug"), (kind, name)


def test_the_spans_of_all_kinds_have_the_same_names_attributes_and_errors(lives: Lives) -> None:
    for kind, life in lives.items():
        ours = [one for one in life["spans"] if one["attributes"].get("framework.usage", OURS) == OURS]
        assert [(one["name"], one["status"], one["parent"]) for one in ours] == SPANS, kind
        for one in life["spans"]:
            more = {"framework.usage"} if one["name"] == "lease.use" else set()
            assert one["attributes"].keys() == ATTRIBUTES | more, (kind, one["name"])
            assert one["recorded"] == (["exception"] if one["status"] == "ERROR" else []), (kind, one["name"])
        released = [one["resource"] for one in life["events"] if one["event"] == "lease_released"]
        spanned = [one["attributes"]["framework.resource"] for one in life["spans"] if one["name"] == "lease.release"]
        assert spanned == released, kind


def test_the_counters_of_all_kinds_have_the_same_names_labels_and_values(lives: Lives) -> None:
    for kind, life in lives.items():
        counted = life["counters"]["framework_lease_events"]
        assert all(one.keys() == {"event", "kind", "value"} for one in counted), kind
        counts = {one["event"]: one["value"] for one in counted}
        own_uses = sum(one.get("usage", OURS) != OURS for one in life["events"])
        assert counts == {one: LIFE.count(one) for one in LIFE} | {"used": 1 + own_uses}, kind
        assert life["counters"]["framework_leases_held"] == [{"kind": kind, "value": 1}], kind


def test_what_is_left_after_a_kill_is_seen_in_the_same_way_for_every_kind_that_leaves_something(
    folder: Path, lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    with subprocess.Popen([sys.executable, PROGRAM, "hold"], cwd=folder, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        holder.send_signal(signal.SIGKILL)
    left = [one for one in held() if one.state == "dead"]
    assert "sample.file" in {one.kind for one in left}

    reclaimed = run("reclaim", folder)

    assert held() == []
    assert reclaimed.keys() == lives.keys()
    for kind, seen in reclaimed.items():
        count = [(one.kind, one.owner) for one in left].count((kind, "life"))
        assert [one["event"] for one in seen["events"]] == ["lease_reclaimed"] * count, kind
        for one in seen["events"]:
            assert one.keys() == SAID | MORE["reclaimed"], kind
            assert (one["owner"], one["level"], one["outcome"]) == ("life", "info", "reclaimed"), kind
        assert [(one["name"], one["status"]) for one in seen["spans"]] == [("lease.reclaim", "UNSET")] * count, kind
        for one in seen["spans"]:
            assert one["attributes"].keys() == ATTRIBUTES | {"framework.outcome"}, kind
        counted = {one["event"]: one["value"] for one in seen["counters"].get("framework_lease_events", [])}
        assert counted.get("reclaimed", 0) == [one.kind for one in left].count(kind), kind
