"""The host lends, says who holds what, and gives everything back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from framework import (
    Framework,
    MetricsManager,
    Plugin,
    PluginState,
    PluginType,
    Resource,
    ResourceProvider,
    ResourceStatus,
    creates,
    hookimpl,
    plugin,
)
from framework.errors import (
    AdmissionRefusedError,
    FrameworkError,
    InvalidRequestError,
    PluginError,
    ResourceError,
    UnknownKindError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Box(Resource):
    def __init__(self, log: list[str], fails: bool = False) -> None:
        self.log = log
        self.fails = fails

    async def _close(self) -> None:
        self.log.append(f"closed {self.name}")
        if self.fails:
            raise OSError(self.name)


class Boxes(ResourceProvider):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.gate: anyio.Event | None = None
        self.entered: anyio.Event | None = None

    @creates("box.small")
    async def small(self, name: str, size: int = 0, fails: bool = False) -> Box:
        """Make a box."""
        return Box(self.log, fails)

    @creates("box.slow")
    async def slow(self, name: str) -> Box:
        """Make a box once the gate opens."""
        assert self.gate is not None
        assert self.entered is not None
        self.entered.set()
        await self.gate.wait()
        return Box(self.log)


class Participant:
    def __init__(self, name: str, answer: object) -> None:
        self.name = name
        self.answer = answer
        self.asked: list[tuple[bool, str]] = []

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        self.asked.append((aggressive, reason))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # some of them are wrong on purpose


class Collector:
    def __init__(self, name: str, answer: object) -> None:
        self.name = name
        self.answer = answer

    def collect(self) -> Mapping[str, float]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # some of them are wrong on purpose


@plugin("boxes", "1.0", "Lends boxes.", "Somebody", PluginType.PROVIDER)
class BoxPlugin(Plugin):
    def __init__(self) -> None:
        self.provider = Boxes()
        self.participants = [
            Participant("first", 5),
            Participant("failing", ValueError("no")),
            Participant("wrong", "many"),
            Participant("last", 7),
        ]
        self.fails = False

    async def initialize(self) -> None:
        self.provider.gate, self.provider.entered = anyio.Event(), anyio.Event()
        if self.fails:
            raise OSError("no cardboard")

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        return [self.provider]

    @hookimpl
    def register_services(self) -> dict[str, object]:
        return {"BoxService": self}

    @hookimpl
    async def register_cleanup_participants(self) -> list[Participant]:
        return self.participants

    @hookimpl
    def register_metrics_collectors(self) -> Iterator[Collector]:
        yield Collector("boxes", {"made": 1.0})
        yield Collector("broken", RuntimeError("no"))
        yield Collector("odd", None)


def host(*plugins: Plugin, owner: str = "") -> Framework:
    return Framework.from_config({"plugins": {}}, plugins=plugins, owner=owner)


async def test_a_resource_is_lent_for_the_length_of_the_block_and_its_lease_says_to_whom() -> None:
    boxes = BoxPlugin()
    before = time.time()
    async with host(boxes) as fw:
        async with fw.acquire("box.small", name="a", size=3, owner="survey") as box:
            (lease,) = fw.leases()
            assert (lease.kind, lease.name, lease.owner, lease.size) == ("box.small", "a", "survey", 3)
            assert before <= lease.acquired_at <= time.time()
            assert box.is_allocated()
        assert fw.leases() == ()
        assert boxes.provider.log == ["closed a"]


async def test_an_awaited_resource_is_held_until_released_or_the_host_closes() -> None:
    boxes = BoxPlugin()
    async with host(boxes, owner="me") as fw:
        one = await fw.acquire("box.small", name="one")
        two = await fw.acquire("box.small", name="two", owner="other")
        three = await fw.acquire("box.small")
        assert [lease.owner for lease in fw.leases()] == ["me", "other", "me"]
        assert three.name
        await two.release()
        assert [lease.name for lease in fw.leases()] == ["one", three.name]
    assert boxes.provider.log == ["closed two", f"closed {three.name}", "closed one"]
    assert not one.is_allocated()
    assert fw.leases() == ()
    await fw.close()
    assert len(boxes.provider.log) == 3


async def test_an_error_in_the_body_still_releases() -> None:
    boxes = BoxPlugin()
    with pytest.raises(ZeroDivisionError):
        async with host(boxes) as fw, fw.acquire("box.small", name="a"):
            _ = 1 / 0
    assert boxes.provider.log == ["closed a"]


async def test_releases_that_fail_are_all_tried_and_reported_together() -> None:
    boxes = BoxPlugin()
    fw = await host(boxes).__aenter__()
    kept = [await fw.acquire("box.small", name=name, fails=name != "b") for name in ("a", "b", "c")]
    with pytest.raises(ExceptionGroup) as caught:
        await fw.close()
    text = [str(one) for one in caught.value.exceptions]
    assert boxes.provider.log[:3] == ["closed c", "closed b", "closed a"]
    assert text[:2] == ["c", "a"]
    assert [one.status for one in kept] == [ResourceStatus.ERROR, ResourceStatus.RELEASED, ResourceStatus.ERROR]
    assert fw.plugins.record("boxes").state is PluginState.STOPPED


async def test_a_cancelled_acquisition_leaves_no_lease() -> None:
    boxes = BoxPlugin()
    async with host(boxes) as fw:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: fw._acquire("box.slow", "", None, {"name": "a"}))
            assert boxes.provider.entered is not None
            await boxes.provider.entered.wait()
            assert len(fw.leases()) == 1
            tasks.cancel_scope.cancel()
        assert fw.leases() == ()
        assert fw.statistics().failed == 1
    assert boxes.provider.log == []


async def test_what_is_created_while_the_host_closes_is_given_back() -> None:
    boxes = BoxPlugin()
    fw = host(boxes)
    errors: list[ResourceError] = []

    async def acquire() -> None:
        try:
            await fw.acquire("box.slow", name="late")
        except ResourceError as error:
            errors.append(error)

    provider = boxes.provider
    async with anyio.create_task_group() as tasks:
        async with fw:
            tasks.start_soon(acquire)
            assert provider.entered is not None
            await provider.entered.wait()
        assert provider.gate is not None
        provider.gate.set()
    assert provider.log == ["closed late"]
    assert fw.leases() == ()
    assert "closed while it created box.slow" in str(errors[0])


async def test_an_unknown_kind_is_answered_with_the_nearest_and_its_plugin() -> None:
    async with host(BoxPlugin()) as fw:
        with pytest.raises(UnknownKindError) as caught:
            await fw.acquire("box.smal")
        assert "No installed plugin provides 'box.smal'; provided are " in str(caught.value)
        assert "Did you mean 'box.small', which plugin 'boxes' provides?" in str(caught.value)
        assert caught.value.exit_code == 4
        with pytest.raises(InvalidRequestError, match=r"unknown parameter 'sise'.*Did you mean 'size'"):
            await fw.acquire("box.small", sise=1)
        assert fw.leases() == ()


async def test_a_kind_of_a_disabled_or_broken_plugin_names_the_plugin_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[..., Path]
) -> None:
    install(tmp_path, "off", extra='[provides]\nkinds = ["off.kind"]')
    install(tmp_path, "bad", "raise OSError('no disk')", extra='[provides]\nkinds = ["bad.kind"]')
    monkeypatch.syspath_prepend(str(tmp_path))
    async with Framework.from_config({"plugins": {"bad": {}}}) as fw:
        with pytest.raises(UnknownKindError) as caught:
            await fw.acquire("off.kind")
        assert "plugin 'off' would, but is disabled" in str(caught.value)
        assert "write `off: {}` under `plugins:`" in str(caught.value)
        assert caught.value.plugin == "off"
        with pytest.raises(UnknownKindError) as caught:
            await fw.acquire("bad.kind")
        assert "plugin 'bad' would, but is failed" in str(caught.value)
        assert "OSError: no disk" in str(caught.value)


async def test_a_host_that_is_not_open_lends_nothing_and_opens_once() -> None:
    fw = host(BoxPlugin())
    with pytest.raises(ResourceError, match="asked of a host that is not open"):
        await fw.acquire("box.small")
    async with fw:
        with pytest.raises(FrameworkError, match="is open already; make another one"):
            await fw.__aenter__()
        await fw.acquire("box.small")
    with pytest.raises(ResourceError, match="asked of a host that is not open"):
        await fw.acquire("box.small")
    with pytest.raises(FrameworkError, match="was open already; make another one"):
        await fw.__aenter__()


async def test_a_failing_plugin_of_the_application_does_not_stop_the_host() -> None:
    boxes = BoxPlugin()
    boxes.fails = True
    async with host(boxes) as fw:
        assert fw.kinds() == ()
        assert fw.plugins.record("boxes").state is PluginState.FAILED


async def test_every_cleanup_participant_is_asked_and_a_failing_one_is_reported() -> None:
    boxes = BoxPlugin()
    async with host(boxes) as fw:
        report = await fw.request_cleanup(aggressive=True, reason="test")
    assert [(one.participant, one.claimed_bytes) for one in report.outcomes] == [
        ("first", 5),
        ("failing", 0),
        ("wrong", 0),
        ("last", 7),
    ]
    assert [bool(one.error) for one in report.outcomes] == [False, True, True, False]
    assert report.outcomes[1].error == "ValueError: no"
    assert all(one.duration_s >= 0 for one in report.outcomes)
    assert (report.aggressive, report.reason) == (True, "test")
    assert [one.asked for one in boxes.participants] == [[(True, "test")]] * 4
    assert (await fw.request_cleanup()).outcomes == ()


async def test_measurements_leave_out_a_collector_that_fails() -> None:
    async with host(BoxPlugin()) as fw:
        assert (await fw.measurements()) == {"boxes": {"made": 1.0}}


async def test_services_and_kinds_are_found_by_name() -> None:
    boxes = BoxPlugin()
    async with host(boxes) as fw:
        assert await fw.service("BoxService") is boxes
        with pytest.raises(PluginError, match=r"service 'BoxServise'; registered are BoxService.*Did you mean"):
            await fw.service("BoxServise")
        assert [(kind.kind, kind.plugin, kind.description) for kind in fw.kinds()] == [
            ("box.slow", "boxes", "Make a box once the gate opens."),
            ("box.small", "boxes", "Make a box."),
        ]
        assert fw.strategies() == {}


async def test_two_hosts_in_one_process_do_not_know_each_other() -> None:
    async with host(BoxPlugin(), owner="a") as one, host(BoxPlugin(), owner="b") as two:
        held: Any = await one.acquire("box.small", name="x")
        await two.acquire("box.small", name="x")
        assert [lease.owner for lease in one.leases()] == ["a"]
        assert [lease.owner for lease in two.leases()] == ["b"]
        await two.close()
        assert held.is_allocated()
        assert await one.service("BoxService") is not None


async def test_a_cancelled_opening_closes_again() -> None:
    events: list[str] = []
    entered = anyio.Event()

    @plugin("a", "1", "", "", PluginType.MONITOR)
    class First(Plugin):
        async def cleanup(self) -> None:
            events.append("a down")

    @plugin("b", "1", "", "", PluginType.MONITOR)
    class Hangs(Plugin):
        async def initialize(self) -> None:
            entered.set()
            await anyio.sleep_forever()

    fw = host(First(), Hangs())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fw.__aenter__)
        await entered.wait()
        tasks.cancel_scope.cancel()
    assert events == ["a down"]
    assert fw.plugins.record("a").state is PluginState.STOPPED
    assert fw.plugins.record("b").reason == "The start was cancelled."


async def test_closing_is_finished_whoever_cancels_it() -> None:
    boxes = BoxPlugin()
    closing, gate = anyio.Event(), anyio.Event()

    class Slow(Plugin):
        async def cleanup(self) -> None:
            closing.set()
            await gate.wait()

    slow = plugin("slow", "1", "", "", PluginType.MONITOR)(Slow)()
    fw = host(boxes, slow)
    await fw.__aenter__()
    held: Any = await fw.acquire("box.small", name="x")
    task = asyncio.create_task(fw.close())
    await closing.wait()
    task.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not held.is_allocated()
    assert fw.leases() == ()
    assert PluginState.ACTIVE not in {one.state for one in fw.plugins.records()}
    assert fw.plugins.record("slow").state is PluginState.STOPPED


async def test_an_acquisition_is_entered_once() -> None:
    async with host(BoxPlugin()) as fw:
        acquisition = fw.acquire("box.small")
        async with acquisition:
            with pytest.raises(FrameworkError, match="entered already"):
                await acquisition.__aenter__()
        assert fw.leases() == ()
        with pytest.raises(FrameworkError, match="was not entered"):
            await fw.acquire("box.small").__aexit__(None, None, None)


async def test_each_host_counts_its_own_leases_in_one_gauge() -> None:
    def held() -> float:
        return sum(MetricsManager.get_instance()._sum("framework_leases_held").values())

    async with host(BoxPlugin()) as one:
        before = held()
        async with host(BoxPlugin()) as two:
            kept = [await one.acquire("box.small"), await two.acquire("box.small")]
            assert held() == before + len(kept)
        assert held() == before + 1


async def test_a_provider_that_does_not_undo_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = asyncio.Event()

    async def hang(path: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    boxes = BoxPlugin()
    monkeypatch.setattr("framework.host.RECLAIM_TIMEOUT", 0.05)
    async with host(boxes) as fw:
        monkeypatch.setattr(boxes.provider, "reclaim", hang)
        with pytest.raises(TimeoutError, match=r"its provider took longer than 0\.05 s"):
            await asyncio.to_thread(fw._undo, "box.small", "what was left")
        await cancelled.wait()


async def test_a_plugin_finds_its_host() -> None:
    class Curious(BoxPlugin):
        found: Any = None

        async def initialize(self) -> None:
            self.found = self.host

    curious = Curious()
    async with host(curious) as fw:
        assert curious.found is fw
    assert BoxPlugin().host is None


async def test_while_admission_is_paused_acquiring_waits_and_is_then_refused() -> None:
    async with host(BoxPlugin()) as fw:
        fw.admission.pause("memory is short", 30)
        waiting = asyncio.create_task(fw._acquire("box.small", "", None, {"name": "one"}))
        async with asyncio.timeout(30):
            while not fw.admission.waiting:
                await asyncio.sleep(0)
        assert fw.leases() == ()
        fw.admission.resume()
        assert (await waiting).is_allocated()
        fw.admission.pause("memory is short", 0)
        with pytest.raises(AdmissionRefusedError, match="memory is short"):
            await fw.acquire("box.small", name="two")
        assert [one.name for one in fw.leases()] == ["one"]


async def test_who_waits_for_admission_when_the_host_closes_is_told() -> None:
    async with host(BoxPlugin()) as fw:
        fw.admission.pause("memory is short", 30)
        waiting = asyncio.create_task(fw._acquire("box.small", "", None, {"name": "one"}))
        async with asyncio.timeout(30):
            while not fw.admission.waiting:
                await asyncio.sleep(0)
    with pytest.raises(ResourceError, match="not open"):
        await waiting


async def test_a_host_measures_and_is_changed_as_a_manager_is() -> None:
    async with host(BoxPlugin()) as fw:
        remove = fw.add_metrics_source("rag", lambda: {"active_sessions_rag": 3})
        assert (await fw.update_metrics())["active_sessions_rag"] == 3
        assert fw.metrics["made"] == 1.0
        remove()
        assert "active_sessions_rag" not in await fw.update_metrics()
        fw.configure({"resource_management.monitoring_enabled": False})
        assert fw.settings.get("resource_management.monitoring_enabled") is False
        answers: list[tuple[bool, str]] = []
        fw.add_cleanup_participant("sessions", lambda aggressive, reason: answers.append((aggressive, reason)))
        assert "sessions" in [one.name for one in fw.participants()]
        await fw.request_cleanup(reason="test")
        assert answers == [(False, "test")]
