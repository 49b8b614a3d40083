"""The plugin in a host, on this machine: low thresholds make memory short, high ones make it plenty."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from framework import Framework, Plugin, PluginState, hookimpl, limits, plugin
from framework.errors import AdmissionRefusedError, ResourceUnavailableError, SettingsError
from framework.records import PluginType
from framework.testing import DummyPlugin
from plugin_pressure import Decision, Pressure
from plugin_pressure.processors import BusyWarning

pytestmark = pytest.mark.anyio

Eventually = Callable[[Callable[[], bool]], Any]

PLENTY = {
    "resource_management.aggressive_threshold_memory": 99.8,
    "resource_management.warning_threshold_memory": 99.7,
}
SHORT = {
    "resource_management.warning_threshold_memory": 0.001,
    "resource_management.aggressive_threshold_memory": 0.002,
}
"""Less than any machine uses; the critical threshold stays where the test has put it."""

try:
    limits.memory()
except ResourceUnavailableError as error:
    pytest.skip(str(error), allow_module_level=True)


@asynccontextmanager
async def watched(*plugins: Plugin, **options: Any) -> AsyncIterator[tuple[Framework, Pressure]]:
    """A host with the plugin, where memory is plenty at first."""
    section = {"critical_threshold": 99.9, "cooldown": 0.2} | options
    plenty = {key.rpartition(".")[2]: value for key, value in PLENTY.items()}
    settings = {"plugins": {"pressure": section}, "resource_management": plenty}
    async with Framework.from_config(settings, plugins=plugins) as host:
        service = await host.service("pressure")
        assert isinstance(service, Pressure)
        yield host, service


def actions(service: Pressure) -> list[str]:
    return [one.action for one in service.decisions]


def rounds(service: Pressure) -> list[Decision]:
    return [one for one in service.decisions if one.action.startswith("clean")]


@plugin("listener", "1", "Remembers levels.", "tests", PluginType.MONITOR)
class Listener(Plugin):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    @hookimpl(optionalhook=True)
    def pressure_changed(self, level: str, former: str, reason: str) -> None:
        assert reason
        self.heard.append((level, former))


async def test_where_memory_is_plenty_nothing_is_done(eventually: Eventually) -> None:
    async with watched() as (host, service):
        await eventually(lambda: service.state().wait > 0)
        state = service.state()
        assert (state.level, state.watching, state.paused, state.rounds) == ("normal", True, False, 0)
        assert 0 < state.used < state.limit
        assert service.decisions == ()
        assert host.plugins.record("pressure").state is PluginState.ACTIVE


async def test_short_memory_is_told_cleaned_up_and_left_again(eventually: Eventually) -> None:
    listener = Listener()
    asked: list[tuple[bool, str]] = []
    async with watched(listener) as (host, service):
        host.add_cleanup_participant("hoard", lambda aggressive, reason: asked.append((aggressive, reason)))
        host.configure(SHORT)
        await eventually(lambda: bool(asked) and bool(rounds(service)))
        assert service.level == "aggressive"
        assert asked[0] == (True, "pressure: aggressive was reached")
        (first, *_) = rounds(service)
        assert (first.action, first.level, first.participants) == ("clean_aggressively", "aggressive", ("hoard",))
        assert first.used > first.limit * 0.00002
        assert first.need > 0
        assert not first.met
        host.configure(PLENTY)
        await eventually(lambda: service.level == "normal")
        await eventually(lambda: len(listener.heard) == 2)
        assert listener.heard == [("aggressive", "normal"), ("normal", "aggressive")]
        assert actions(service)[0] == "enter"
        assert actions(service)[-1] == "leave"


async def test_at_critical_acquisitions_wait_are_refused_after_the_deadline_and_go_on_below(
    eventually: Eventually,
) -> None:
    options = {"critical_threshold": 0.003, "pause_deadline": 0.2}
    settings = {"plugins": {"pressure": options}}
    shorter = {key.rpartition(".")[2]: value for key, value in SHORT.items()}
    async with Framework.from_config({**settings, "resource_management": shorter}, plugins=[DummyPlugin()]) as host:
        service = await host.service("pressure")
        assert isinstance(service, Pressure)
        await eventually(lambda: host.admission.paused)
        with pytest.raises(AdmissionRefusedError, match=r"dummy\.thing was refused: memory is critical: .* is used"):
            await host.acquire("dummy.thing")
        assert service.state().paused
        host.configure({"resource_management.monitoring_enabled": False})
        await eventually(lambda: not host.admission.paused)
        assert service.level == "normal"
        assert not service.state().watching
        async with host.acquire("dummy.thing"):
            pass
        assert [one for one in actions(service) if one in {"pause", "resume"}] == ["pause", "resume"]
        host.configure({"resource_management.monitoring_enabled": True})
        await eventually(lambda: host.admission.paused)
        waiting = asyncio.create_task(_acquired(host))
    with contextlib.suppress(Exception):
        await waiting
    assert not host.admission.paused, "the plugin has stopped"


async def _acquired(host: Framework) -> None:
    async with host.acquire("dummy.thing"):
        pass


async def test_a_dry_run_says_everything_and_does_nothing(eventually: Eventually) -> None:
    listener, asked = Listener(), []
    async with Framework.from_config(
        {
            "plugins": {"pressure": {"critical_threshold": 0.003, "dry_run": True, "cooldown": 0.1}},
            "resource_management": {"warning_threshold_memory": 0.001, "aggressive_threshold_memory": 0.002},
        },
        plugins=[listener],
    ) as host:
        host.add_cleanup_participant("hoard", lambda aggressive, reason: asked.append(reason))
        service = await host.service("pressure")
        assert isinstance(service, Pressure)
        await eventually(lambda: len(rounds(service)) >= 2)
        assert {"enter", "pause", "clean_aggressively"} == set(actions(service)) - {"nothing"}
        assert all(one.dry_run for one in service.decisions)
        assert rounds(service)[-1].participants == ("hoard",)
        assert (host.admission.paused, asked, listener.heard) == (False, [], [])
        assert service.state().rounds == 0
        assert service.round().dry_run


async def test_a_round_can_be_asked_for_and_asks_only_when_something_is_needed() -> None:
    asked: list[str] = []
    async with watched() as (host, service):
        host.add_cleanup_participant("hoard", lambda aggressive, reason: asked.append(reason))
        nothing = service.round()
        assert (nothing.action, nothing.need, nothing.met, asked) == ("nothing", 0, True, [])
        host.configure({"resource_management.monitoring_enabled": False, **SHORT})
        planned = service.round(dry_run=True)
        assert (planned.action, planned.participants, asked) == ("clean", ("hoard",), [])
        done = service.round()
        assert done.participants == ("hoard",)
        assert "asked for at" in done.reason
        assert len(asked) == 1


async def test_bad_participants_do_not_keep_the_good_one_from_being_asked(eventually: Eventually) -> None:
    size, stuck, allocated = 64 << 20, threading.Event(), []
    held = [bytearray(b"x") * size]

    def raises(aggressive: bool, reason: str) -> int:
        raise ValueError("not today")

    def hangs(aggressive: bool, reason: str) -> int:
        stuck.wait()
        return 0

    def allocates(aggressive: bool, reason: str) -> int:
        allocated.append(bytearray(b"x") * (8 << 20))
        return 1 << 30

    def frees(aggressive: bool, reason: str) -> int:
        freed = sum(map(len, held))
        held.clear()
        return freed

    async with watched(participant_budget=0.2, cooldown=0.05) as (host, service):
        for name, answer in {"hangs": hangs, "raises": raises, "allocates": allocates, "frees": frees}.items():
            host.add_cleanup_participant(name, answer)
        host.configure(SHORT)
        await eventually(lambda: bool(service.decisions) and not held)
        await eventually(lambda: bool(rounds(service)))
        first = rounds(service)[0]
        assert set(first.participants) == {"allocates", "frees", "hangs", "raises"}
        assert first.claimed == (1 << 30) + size
        assert first.freed > size / 2
        await eventually(lambda: set(service.state().demoted) >= {"allocates", "hangs", "raises"})
        said = {one.participants[0]: one.reason for one in service.decisions if one.action == "demote"}
        assert "claimed 1073741824 bytes, of which 0 were freed" in said["allocates"]
        assert "ValueError: not today" in said["raises"]
        assert "TimeoutError" in said["hangs"]
        await eventually(lambda: rounds(service)[-1].participants[:1] == ("frees",))
        stuck.set()


async def test_a_source_of_metrics_that_blocks_or_raises_does_not_disturb(eventually: Eventually) -> None:
    released = threading.Event()
    async with watched() as (host, service):
        host.configure({"resource_management.source_timeout": 0.1})
        host.add_metrics_source("blocks", lambda: {"x": float(released.wait())})
        host.add_metrics_source("raises", lambda: {"x": 1 / 0})
        updating = asyncio.create_task(host.update_metrics())
        host.configure(SHORT)
        await eventually(lambda: service.level == "aggressive")
        metrics = await updating
        assert metrics["framework_pressure_limit_bytes"] > 0
        assert set(host.meter.faults) == {"blocks", "raises"}
        released.set()


async def test_thresholds_out_of_order_are_refused_at_the_start_and_the_last_good_ones_kept_later(
    eventually: Eventually,
) -> None:
    async with Framework.from_config({"plugins": {"pressure": {"critical_threshold": 80}}}) as host:
        record = host.plugins.record("pressure")
        assert record.state is PluginState.FAILED
        assert "aggressive 85 % and critical 80 %; each must be above the one before" in record.reason
    async with watched() as (host, service):
        host.configure({"resource_management.aggressive_threshold_memory": 99.95})
        await eventually(lambda: service.state().fault != "")
        assert "plugins.pressure.critical_threshold" in service.state().fault
        assert service.state().aggressive.startswith("99.8 /")
        host.configure(PLENTY)
        await eventually(lambda: service.state().fault == "")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"critical_threshold": one} for one in (0, 101, "much")),
        *({name: 0} for name in ("cooldown", "participant_budget", "pause_deadline", "kept_decisions", "fastest_fill")),
        *({name: -1} for name in ("warning_margin", "aggressive_margin", "critical_margin")),
        {"dry_run": "perhaps"},
    ],
)
async def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    async with Framework.from_config({"plugins": {"pressure": wrong}}) as host:
        record = host.plugins.record("pressure")
    assert record.state is not PluginState.ACTIVE
    assert f"plugins.pressure.{name}" in record.reason


async def test_defaults_are_those_of_the_model() -> None:
    from plugin_pressure.options import Options
    from plugin_pressure.settings import PressureSettings

    assert PressureSettings().model_dump() == Options()._asdict()


async def test_a_program_without_settings_does_not_import_the_model(tmp_path: Any) -> None:
    import subprocess

    code = (
        "import asyncio, sys\n"
        "from framework import Framework\n"
        "async def main():\n"
        "    async with Framework.from_config({'plugins': {'pressure': {}}}) as host:\n"
        "        print((await host.service('pressure')).level, 'pydantic' in sys.modules)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout == "normal False\n", done.stderr


async def test_threads_take_turns_as_before_when_the_plugin_stops(eventually: Eventually) -> None:
    before = sys.getswitchinterval()
    async with watched(fastest_fill=1e15) as (host, service):
        host.configure(SHORT)
        await eventually(lambda: service.level == "aggressive" and sys.getswitchinterval() < before)
    assert sys.getswitchinterval() == before


async def test_the_watch_survives_a_look_that_fails(eventually: Eventually, caplog: Any) -> None:
    async with watched() as (host, service):
        good = host.settings
        host.settings = None  # type: ignore[assignment]  # what cannot be read is the point
        await eventually(lambda: "pressure_watch_failed" in caplog.text)
        host.settings = good
        host.configure(SHORT)
        await eventually(lambda: service.level == "aggressive" and service.state().fault == "")


async def test_memory_is_watched_where_nobody_says_how_busy_processors_are(
    eventually: Eventually, tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\n")
    async with watched(dry_run=True) as (_, service):
        service._monitor._busy = BusyWarning()  # to be asked at the next look
        service._monitor.reader = limits.Reader(str(tmp_path))
        await eventually(lambda: service.level == "critical")


async def test_a_wrong_order_by_configure_is_refused_by_the_kernel() -> None:
    async with watched() as (host, _):
        with pytest.raises(SettingsError, match="warning_threshold_memory"):
            host.configure({"resource_management.warning_threshold_memory": 99.9})
