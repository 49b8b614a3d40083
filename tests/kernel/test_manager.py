"""The synchronous face: one in a process, usable in forked children, closed at the end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framework import Plugin, ResourceManager, errors
from framework.cleanup import Answer
from framework.testing import DummyPlugin

NOTHING: dict[str, Any] = {"plugins": {}, "resource_management": {"monitoring_enabled": False}}


@pytest.fixture
def manager() -> Iterator[ResourceManager]:
    with ResourceManager(NOTHING, plugins=[DummyPlugin()]) as manager:
        yield manager


def threads() -> set[str]:
    return {one.name for one in threading.enumerate()}


def test_there_is_one_in_a_process_until_it_is_closed(manager: ResourceManager) -> None:
    assert ResourceManager() is manager
    assert ResourceManager(NOTHING) is manager
    with pytest.raises(errors.FrameworkError, match="another configuration"):
        ResourceManager({"plugins": {}})
    manager.close()
    manager.close()
    with pytest.raises(errors.FrameworkError, match="is closed"):
        manager.metrics  # noqa: B018 - reading it is what is tried
    with ResourceManager(NOTHING) as other:
        assert other is not manager


def test_many_threads_get_the_same_one() -> None:
    found: list[ResourceManager] = []
    workers = [threading.Thread(target=lambda: found.append(ResourceManager(NOTHING))) for _ in range(8)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert len(set(map(id, found))) == 1
    found[0].close()
    assert "framework-manager" not in threads()


def test_a_configuration_that_cannot_be_used_leaves_nothing(tmp_path: Path) -> None:
    before = threads()
    with pytest.raises(errors.SettingsError, match=r"missing\.yaml"):
        ResourceManager(tmp_path / "missing.yaml")
    with pytest.raises(errors.SettingsError, match="monitoring_interval"):
        ResourceManager({"resource_management": {"monitoring_interval": 0}})
    assert threads() == before
    assert ResourceManager._instance is None


def test_resources_are_acquired_used_and_released_without_a_loop(manager: ResourceManager) -> None:
    with manager.acquire("dummy.thing", name="one", size=3, owner="tester") as thing:
        assert thing.is_allocated()
        assert (thing.name, thing.size) == ("one", 3)
        (lease,) = manager.leases()
        assert (lease.owner, lease.kind) == ("tester", "dummy.thing")
    assert not thing.is_allocated()
    other = manager.acquire("dummy.thing", name="two")
    other.release()
    manager.release(other)
    third = manager.acquire("dummy.thing", name="three")
    manager.release(third.resource)
    assert manager.leases() == ()
    assert manager.statistics().held_by_kind.get("dummy.thing", 0) == 0
    with pytest.raises(errors.UnknownKindError):
        manager.acquire("dummy.unknown")


def test_closing_releases_what_is_held() -> None:
    manager = ResourceManager(NOTHING, plugins=[DummyPlugin()])
    thing = manager.acquire("dummy.thing", name="one")
    manager.close()
    assert not thing.is_allocated()


def test_sources_and_participants_are_subscribed_and_taken_back(manager: ResourceManager) -> None:
    seen: list[tuple[bool, str]] = []
    no_source = manager.add_metrics_source("rag", lambda: {"active_sessions_rag": 3})
    no_answer = manager.add_cleanup_participant(
        "sessions", lambda aggressive, reason: seen.append((aggressive, reason))
    )
    assert manager.update_metrics()["active_sessions_rag"] == 3
    assert manager.metrics["active_sessions_rag"] == 3
    report = manager.request_cleanup(aggressive=True, reason="manual")
    assert [one.participant for one in report.outcomes if one.participant == "sessions"] == ["sessions"]
    no_source()
    no_answer()
    manager.request_cleanup()
    assert seen == [(True, "manual")]
    assert "active_sessions_rag" not in manager.update_metrics()


def test_what_a_wait_that_ended_early_had_asked_for_is_not_acquired() -> None:
    program = """
import os, signal, threading, time
from framework import ResourceManager
from framework.testing import DummyPlugin

with ResourceManager({"plugins": {}}, plugins=[DummyPlugin()]) as manager:
    manager.host.admission.pause("a test", 600)

    def interrupt():
        while not manager.host.admission.waiting:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        manager.acquire("dummy.thing")
    except KeyboardInterrupt:
        print("interrupted")
    for _ in range(3000):
        if not manager.host.admission.waiting:
            break
        time.sleep(0.01)
    print(manager.host.admission.waiting, manager.leases())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout == "interrupted\n0 ()\n", ended.stderr


def test_one_who_waits_while_it_is_closed_learns_that(manager: ResourceManager) -> None:
    caught: list[BaseException] = []
    begun = threading.Event()

    async def hold() -> None:
        begun.set()
        await asyncio.sleep(600)

    def wait() -> None:
        try:
            manager._call(hold)
        except errors.FrameworkError as error:
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(60)
    manager.close()
    waiting.join(60)
    assert "is closed" in str(caught[0])


def test_on_its_own_loop_it_is_refused_before_it_waits_for_itself(manager: ResourceManager) -> None:
    async def use(function: Callable[[], object]) -> None:
        with pytest.raises(errors.FrameworkError, match="of its own loop"):
            function()

    manager._portal.call(use, lambda: manager.acquire("dummy.thing"))
    manager._portal.call(use, manager.close)
    assert manager.acquire("dummy.thing").is_allocated()
    assert manager._portal.call(lambda: ResourceManager()) is manager


def test_a_plugin_that_asks_for_it_while_it_opens_is_refused_at_once() -> None:
    program = """
from framework import ResourceManager
from framework.testing import DummyPlugin

class Asking(DummyPlugin):
    async def initialize(self):
        try:
            ResourceManager()
        except Exception as error:
            print(error)

ResourceManager({"plugins": {}}, plugins=[Asking()]).close()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "on the thread of its own loop" in ended.stdout, ended.stderr


def test_a_plugin_that_cannot_be_registered_leaves_no_thread() -> None:
    with pytest.raises(errors.PluginError, match="metadata"):
        ResourceManager(NOTHING, plugins=[Plugin()])
    assert "framework-manager" not in threads()


def test_settings_that_threads_change_together_are_all_changed(manager: ResourceManager) -> None:
    lost: list[str] = []

    def change(key: str) -> None:
        for number in range(1, 300):
            manager.configure({key: number})
            if manager.settings.get(key) != number:
                lost.append(f"{key}={number}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        names = ("monitoring_interval", "source_timeout", "participant_timeout")
        workers = [threading.Thread(target=change, args=(f"resource_management.{one}",)) for one in names]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
    finally:
        sys.setswitchinterval(interval)
    assert lost == []
    assert ResourceManager(NOTHING) is manager  # which it was made with


def test_managers_of_plugins_that_are_off_are_none_and_said_once(
    manager: ResourceManager, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert manager.memory_manager is None
        assert manager.concurrency_manager is None
    told = [text for text in caplog.messages if text.startswith("service_unavailable")]
    assert len(told) == 2
    assert all("No active plugin registered the service" in text for text in told)


def test_settings_change_while_it_runs_or_not_at_all(manager: ResourceManager) -> None:
    manager.configure({"resource_management.monitoring_interval": 5, "resource_management.monitoring_enabled": True})
    assert manager.settings.get("resource_management.monitoring_interval") == 5
    assert manager.settings.explain("resource_management.monitoring_interval").source == "program"
    for changes in (
        {"resource_management.monitoring_interval": 7, "resource_management.warning_threshold_memory": 90},
        {"resource_management.monitoring_intervall": 7},
        {"leases.journal": "none"},
        {"resource_management": 7},
    ):
        with pytest.raises(errors.SettingsError):
            manager.configure(changes)
    assert manager.settings.get("resource_management.monitoring_interval") == 5


def test_monitoring_refreshes_the_measurements() -> None:
    asked = threading.Semaphore(0)

    def source() -> dict[str, int]:
        asked.release()
        return {"x": 1}

    with ResourceManager({"plugins": {}, "resource_management": {"monitoring_interval": 0.01}}) as manager:
        manager.add_metrics_source("one", source)
        assert asked.acquire(timeout=30)
        assert asked.acquire(timeout=30)
    assert manager._host is None


def in_child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_gets_one_of_its_own_and_leaves_its_parents_alone(manager: ResourceManager) -> None:
    answer: Answer = lambda aggressive, reason: 5  # noqa: E731 - it is handed on
    manager.add_cleanup_participant("five", answer)
    manager.add_metrics_source("six", lambda: {"six": 6})
    held = manager.acquire("dummy.thing", name="parent's")

    def use() -> None:
        assert ResourceManager() is manager
        assert manager.leases() == ()
        with manager.acquire("dummy.thing", name="child's") as thing:
            assert thing.is_allocated()
            assert [one.name for one in manager.leases()] == ["child's"]
        assert manager.update_metrics()["six"] == 6
        claimed = {one.participant: one.claimed_bytes for one in manager.request_cleanup().outcomes}
        assert claimed["five"] == 5
        manager.close()

    assert in_child(use) == 0
    assert in_child(manager.close) == 0
    assert held.is_allocated()
    manager.release(held)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_threads_of_a_forked_child_wait_for_the_one_that_opens(manager: ResourceManager) -> None:
    remove = manager.add_metrics_source("one", lambda: {"one": 1})

    def child() -> None:
        found: list[object] = []
        workers = [threading.Thread(target=lambda: found.append(manager.statistics())) for _ in range(8)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        assert len(found) == 8
        assert "one" in manager.update_metrics()
        remove()
        assert "one" not in manager.update_metrics()
        manager.close()

    assert in_child(child) == 0


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_child_that_is_forked_while_threads_use_it_can_use_it(manager: ResourceManager) -> None:
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            ResourceManager()
            manager.acquire("dummy.thing", name="busy").release()

    workers = [threading.Thread(target=use) for _ in range(3)]
    for one in workers:
        one.start()
    try:
        for _ in range(10):
            assert in_child(lambda: ResourceManager().acquire("dummy.thing", name="child's").release()) == 0
    finally:
        stop.set()
        for one in workers:
            one.join()


PROGRAM = """
import sys, threading, time
from framework import ResourceManager
from framework.testing import DummyPlugin

class Told(DummyPlugin):
    async def cleanup(self):
        await super().cleanup()
        print("cleaned", flush=True)

manager = ResourceManager({"plugins": {}}, plugins=[Told()])
manager.acquire("dummy.thing", name="one")
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()", 0),
    ],
)
def test_a_program_that_does_not_close_it_gives_everything_back_at_exit(ending: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + ending], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.returncode) == ("cleaned\n", code), done.stderr


def test_a_child_that_exits_normally_does_not_hang_and_gives_nothing_of_its_parent_back() -> None:
    program = PROGRAM + "import os\nif os.fork() == 0: sys.exit(0)\nprint(os.wait()[1])\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("0\ncleaned\n", 0), done.stderr
