"""What is blocked is warned of, once for each cause, with why and a way out (K66)."""

from __future__ import annotations

import asyncio
import glob
import inspect
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from framework import Framework, Plugin, PluginType, hookimpl, plugin
from plugin_pool import ResourcePool, Tier
from plugin_pool.hookspecs import PoolHooks
from plugin_pool.hosting.attachment import Attachment
from plugin_pool.hosting.measures import MEASURES
from plugin_pool.hosting.notice import Notice
from plugin_pool.hosting.warden import EVERY, MOST, QUIET, Warden
from plugin_pool.plugin import PoolPlugin
from plugin_pool.waiter import Waiter

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
ONE = {"type": "executor"}
LONG = 60.0
"""Seconds after which a test fails that waits for something."""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Silent(Waiter):
    """Waits without a thread."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        """Nobody to wake."""
        return True


class Scene:
    """A pool with one executor, its warden, and what that told."""

    def __init__(self, after: float | None = 60.0) -> None:
        self.clock = Clock()
        self.pool = ResourcePool(clock=self.clock, patience=1.0)
        self.pool.add_resource({"id": "a", "type": "executor"})
        self.told: list[tuple[str, str, str, bool]] = []
        self.notices: list[Notice] = []
        self.warden = Warden(self.pool, self.tell, after=after, clock=self.clock)

    def tell(self, notice: Notice, over: bool) -> None:
        self.told.append((notice.cause, notice.reason, notice.task, over))
        self.notices.append(notice)

    def join(self, task: str, needs: Any = ONE, until: Tier = Tier.IMPOSSIBLE) -> Silent:
        waiter = Silent(task, self.pool.prepare(needs), until=until)
        assert self.pool.join(waiter)
        return waiter

    def look(self) -> tuple[float | None, list[tuple[str, str, str, bool]]]:
        self.told.clear()
        return self.warden.look(), list(self.told)


def test_nothing_is_told_while_all_is_well() -> None:
    scene = Scene()
    assert scene.look() == (None, [])
    scene.pool.allocate_resources("holder", ONE)
    assert scene.look() == (None, [])
    scene.join("t")
    assert scene.look() == (EVERY, [])


def test_blocked_entities_are_told_with_who_holds_them() -> None:
    scene = Scene()
    scene.pool.allocate_resources("t", ONE)
    scene.pool.mark_blocked("t")
    assert scene.look() == (EVERY, [("entities", "blocked", "t", False)])
    assert scene.notices[0].sentence == ("1 resource is blocked, held by tasks that wait for something else: 't'.")
    assert scene.notices[0].remedy
    assert scene.look()[1] == []
    scene.pool.mark_executing("t")
    assert scene.look()[1] == [("entities", "blocked", "t", True)]


@pytest.mark.parametrize("how", ["error", "impossible"])
def test_what_needs_a_person_is_told_at_once_with_the_way_out(how: str) -> None:
    scene = Scene()
    if how == "error":
        scene.pool.quarantine_resource("a")
        scene.join("t")
    else:
        scene.join("t", {"type": "reviewer"})
    assert scene.look()[1] == [("task", how, "t", False)]
    (notice,) = scene.notices
    assert notice.sentence == scene.pool.explain("t").sentence
    assert {"error": "a", "impossible": "reviewer"}[how] in notice.remedy
    assert notice.remedy.endswith("would do.")

    scene.pool.repair_resource("a")
    scene.pool.add_resource({"id": "r", "type": "reviewer"})

    assert scene.look()[1] == [("task", how, "t", True)]


def test_waiting_too_long_is_told_when_it_is_too_long_and_looked_for_then() -> None:
    scene = Scene(after=12.0)
    scene.pool.allocate_resources("holder", ONE)
    scene.join("t")
    assert scene.look() == (EVERY, [])
    scene.clock.now += 10
    assert scene.look() == (2.0, [])
    scene.clock.now += 2
    assert scene.look() == (EVERY, [("task", "busy", "t", False)])
    assert "'holder'" in scene.notices[0].sentence
    scene.pool.release_resources("holder")
    assert scene.look()[1] == [("task", "busy", "t", True)]


def test_what_is_kept_for_others_is_told_so() -> None:
    scene = Scene(after=5.0)
    scene.pool.add_resource({"id": "b", "type": "executor"})
    scene.pool.allocate_resources("holder", {"type": "executor", "ids": ["a"]})
    scene.join("gang", {"type": "executor", "count": 2})
    scene.clock.now += 2
    scene.join("later")
    scene.clock.now += 5
    assert sorted(scene.look()[1]) == [("task", "busy", "gang", False), ("task", "kept", "later", False)]


def test_without_a_limit_no_waiting_is_too_long() -> None:
    scene = Scene(after=None)
    scene.pool.allocate_resources("holder", ONE)
    scene.join("t")
    scene.clock.now += 1e6
    assert scene.look() == (EVERY, [])


def test_tasks_that_wait_for_the_same_are_one_cause() -> None:
    scene = Scene()
    for number in range(50):
        scene.join(f"t{number}", {"type": "reviewer"})
    assert scene.look()[1] == [("task", "impossible", "t0", False)]
    assert scene.notices[0].count == 50


def test_a_change_for_the_worse_is_told_and_the_former_is_over() -> None:
    scene = Scene(after=5.0)
    scene.pool.allocate_resources("holder", ONE)
    scene.join("t")
    scene.clock.now += 5
    assert scene.look()[1] == [("task", "busy", "t", False)]
    scene.pool.quarantine_resource("a")
    assert scene.look()[1] == [("task", "error", "t", False), ("task", "busy", "t", True)]


def test_what_comes_and_goes_is_told_again_after_a_while_only() -> None:
    scene = Scene()
    scene.pool.allocate_resources("t", ONE)
    for _ in range(20):
        scene.pool.mark_blocked("t")
        scene.warden.look()
        scene.pool.mark_executing("t")
        scene.warden.look()
        scene.clock.now += 1
    assert scene.told == [("entities", "blocked", "t", False), ("entities", "blocked", "t", True)]
    scene.clock.now += QUIET
    scene.pool.mark_blocked("t")
    assert scene.look()[1] == [("entities", "blocked", "t", False)]


def test_a_cause_that_changes_is_told_again_after_a_while() -> None:
    scene = Scene()
    scene.pool.add_resource({"id": "b", "type": "executor"})
    for task in ("t", "u"):
        scene.pool.allocate_resources(task, ONE)
        scene.pool.mark_blocked(task)
        scene.warden.look()
    assert [one.count for one in scene.notices] == [1]
    scene.clock.now += QUIET
    scene.warden.look()
    assert [one.count for one in scene.notices] == [1, 2]
    scene.clock.now += QUIET
    assert scene.look()[1] == []


def test_very_many_causes_are_not_told_one_by_one() -> None:
    scene = Scene()
    for number in range(MOST + 7):
        scene.join(f"t{number}", {"type": f"none{number}"})
    told = scene.look()[1]
    assert len(told) == MOST + 1
    assert told[-1] == ("more", "", "", False)
    assert scene.notices[-1].count == 7


def test_nobody_looks_any_more_once_all_is_over() -> None:
    scene = Scene()
    waiter = scene.join("t", {"type": "reviewer"})
    scene.warden.look()
    scene.pool.leave(waiter)
    assert scene.look() == (EVERY, [("task", "impossible", "t", True)])
    scene.clock.now += QUIET
    assert scene.look() == (None, [])


def test_the_thread_begins_with_the_first_who_waits_and_ends_with_the_warden() -> None:
    pool = ResourcePool()
    told: list[Notice] = []
    heard = threading.Event()

    def tell(notice: Notice, over: bool) -> None:
        told.append(notice)
        pool.get_status_report()  # nothing is locked
        heard.set()

    warden = Warden(pool, tell)
    warden.start()
    assert "pool-warden" not in {one.name for one in threading.enumerate()}
    assert pool.join(Silent("t", pool.prepare(ONE), until=Tier.IMPOSSIBLE))
    assert heard.wait(LONG)
    assert [one.task for one in told] == ["t"]
    warden.stop()
    assert "pool-warden" not in {one.name for one in threading.enumerate()}
    assert pool.join(Silent("u", pool.prepare({"type": "x"}), until=Tier.IMPOSSIBLE))
    assert [one.task for one in told] == ["t"]


def test_who_is_told_may_end_it() -> None:
    pool = ResourcePool()
    ended: list[object] = []
    done = threading.Event()

    def tell(notice: Notice, over: bool) -> None:
        try:
            warden.stop()
        except RuntimeError as error:
            ended.append(error)
        done.set()

    warden = Warden(pool, tell)
    warden.start()
    assert pool.join(Silent("t", pool.prepare(ONE), until=Tier.IMPOSSIBLE))
    assert done.wait(LONG)
    warden.stop()
    assert ended == []
    assert "pool-warden" not in {one.name for one in threading.enumerate()}


def test_the_thread_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    pool = ResourcePool()
    calls: list[int] = []
    done = threading.Event()

    def tell(notice: Notice, over: bool) -> None:
        calls.append(1)
        done.set()
        raise RuntimeError("oh")

    warden = Warden(pool, tell)
    warden.start()
    with caplog.at_level("ERROR", "framework"):
        assert pool.join(Silent("t", pool.prepare(ONE), until=Tier.IMPOSSIBLE))
        assert done.wait(LONG)
        warden.stop()
    assert [one.msg["event"] for one in caplog.records] == ["pool_watch_failed"]  # type: ignore[index]


@plugin("listener", "1", "Hears what is blocked.", "Somebody", PluginType.MONITOR)
class Listener(Plugin):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.more = threading.Condition()

    @hookimpl(optionalhook=True)
    def pool_blocked(self, cause: str, reason: str, sentence: str) -> None:
        assert sentence
        self._note(cause, reason)

    @hookimpl(optionalhook=True)
    def pool_unblocked(self, cause: str) -> None:
        self._note(cause, "over")

    def _note(self, *what: str) -> None:
        with self.more:
            self.heard.append((what[0], what[1]))
            self.more.notify_all()

    def until(self, condition: Callable[[], bool]) -> bool:
        with self.more:
            return self.more.wait_for(condition, LONG)


async def test_in_a_host_it_is_logged_and_other_plugins_hear_it(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    with caplog.at_level("INFO", "framework"):
        async with Framework.from_config({"plugins": {"pool": {}}}, plugins=[listener]) as framework:
            pool: Any = await framework.service("pool")
            waiter = Silent("t", pool.prepare(ONE), until=Tier.IMPOSSIBLE)
            assert pool.join(waiter)
            assert listener.until(lambda: listener.heard == [("task", "impossible")])
            pool.leave(waiter)
            assert listener.until(lambda: len(listener.heard) == 2)
    told: list[Any] = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
    told = [one for one in told if one["event"].startswith("pool_")]
    assert [(one["event"], one["level"]) for one in told] == [("pool_blocked", "warning"), ("pool_unblocked", "info")]
    listed = dict(_listed())
    assert {one["event"]: one.keys() - {"event", "level"} for one in told} == {
        name: listed[name] for name in ("pool_blocked", "pool_unblocked")
    }


def _listed() -> list[tuple[str, set[str]]]:
    with open(os.path.join(ROOT, "docs", "reference", "pool.md"), encoding="utf-8") as file:
        section = file.read().partition("## Warnings")[2].partition("There are these")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section, re.MULTILINE)
    return [(name, set(re.findall(r"`(\w+)`", fields))) for name, fields in rows]


def test_the_reference_lists_every_other_event_of_the_plugin() -> None:
    folder = os.path.join(ROOT, "plugins", "pool", "src", "plugin_pool")
    code = ""
    for name in glob.glob(os.path.join(folder, "**", "*.py"), recursive=True):
        with open(name, encoding="utf-8") as file:
            code += file.read()
    logged = set(re.findall(r'\.(?:debug|info|warning|error)\(\s*"(\w+)"', code)) | {"pool_blocked", "pool_unblocked"}
    assert {name for name, _ in _listed()} == logged


@plugin("asker", "1", "Asks the loop while it hears what is blocked.", "Somebody", PluginType.MONITOR)
class Asker(Plugin):
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.heard = threading.Event()
        self.is_ending: Callable[[], bool] = lambda: False

    @hookimpl(optionalhook=True)
    def pool_blocked(self) -> None:
        self.heard.set()
        end = time.monotonic() + LONG
        while not self.is_ending() and time.monotonic() < end:
            time.sleep(0.001)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(LONG)


async def test_a_hook_may_wait_for_the_loop_while_the_host_ends() -> None:
    asker = Asker()
    async with Framework.from_config({"plugins": {"pool": {}}}, plugins=[asker]) as framework:
        pool: Any = await framework.service("pool")
        warden = pool._stock.tally.stirred.__self__
        asker.is_ending = lambda: warden._closed
        assert pool.join(Silent("t", pool.prepare(ONE), until=Tier.IMPOSSIBLE))
        assert asker.heard.wait(LONG)
    assert "pool-warden" not in {one.name for one in threading.enumerate()}


async def test_what_is_measured_after_the_end_is_not_followed_again(caplog: pytest.LogCaptureFixture) -> None:
    pool = ResourcePool()
    async with Framework.from_config({"plugins": {"pool": {}}}) as framework:
        await framework.service("pool")  # whose rules the plugin collects
        attachment = Attachment(pool, framework, warn_after=None)
        with caplog.at_level("DEBUG", "framework"):
            attachment.start()
            assert len(pool._stock.watchers) == 1
            attachment.stop()
            attachment.adjust()
            assert len(pool._stock.watchers) == 0


async def test_a_plugin_that_was_never_registered_can_be_cleaned_up() -> None:
    one = PoolPlugin()
    await one.initialize()
    await one.cleanup()
    assert "attachment" not in vars(one)


def test_the_reference_lists_every_hook_of_the_plugin() -> None:
    with open(os.path.join(ROOT, "docs", "reference", "pool.md"), encoding="utf-8") as file:
        section = file.read().partition("## Hooks")[2].partition("## Metrics")[0]
    listed = re.findall(r"^\| `(\w+)\((.*)\)` \|", section, re.MULTILINE)
    hooks = {name: inspect.signature(one) for name, one in vars(PoolHooks).items() if hasattr(one, "framework_spec")}
    assert dict(listed) == {name: ", ".join(list(one.parameters)[1:]) for name, one in hooks.items()}


def test_the_reference_lists_every_metric_of_the_plugin_with_its_unit() -> None:
    with open(os.path.join(ROOT, "docs", "reference", "pool.md"), encoding="utf-8") as file:
        section = file.read().partition("## Metrics")[2]
    rows = re.findall(r"^\| `framework_pool_(\w+)` \| (\w+), `(.+?)` \|", section, re.MULTILINE)
    assert rows == [(one.name, one.sort, one.unit) for one in MEASURES]
