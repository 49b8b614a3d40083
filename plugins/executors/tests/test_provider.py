import importlib.metadata
import subprocess
import sys
import threading
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from pydantic import ValidationError

from framework import MetricsCollector
from framework.errors import InvalidRequestError, ResourceLimitError
from plugin_executors import ExecutorsProvider, ExecutorsSettings, usable_cpus
from plugin_executors.plugin import ExecutorsPlugin

pytestmark = pytest.mark.anyio
KINDS = ("executor.thread", "executor.process")


async def test_auto_is_what_the_process_may_use(provider: ExecutorsProvider) -> None:
    assert (await provider.create_thread_executor("pool")).workers == min(32, usable_cpus() + 4)
    assert (await provider.create_process_executor("pool")).workers == usable_cpus()


async def test_settings_give_the_default_and_a_request_overrides_it() -> None:
    provider = ExecutorsProvider(ExecutorsSettings(thread_workers=3, process_workers=5))
    await provider.initialize()
    assert [(await provider.create_thread_executor("t", workers=one)).workers for one in (None, 7)] == [3, 7]
    assert [(await provider.create_process_executor("p", workers=one)).workers for one in (None, 7)] == [5, 7]
    await provider.cleanup()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [0, -1, True, 1.0, "2"])
async def test_impossible_numbers_are_refused(provider: ExecutorsProvider, kind: str, workers: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{kind} got workers="):
        await provider.create(kind, workers=workers)
    assert provider.ledger.records() == ()


@pytest.mark.parametrize(("kind", "factor", "least"), [("executor.thread", 100, 1000), ("executor.process", 10, 61)])
async def test_more_than_the_machine_can_serve_is_refused(
    provider: ExecutorsProvider, kind: str, factor: int, least: int
) -> None:
    most = max(least, factor * usable_cpus())
    with pytest.raises(ResourceLimitError, match=f"got workers={most + 1}; the most allowed is {most} .*CPUs"):
        await provider.create(kind, workers=most + 1)


def test_a_limit_of_the_system_is_named() -> None:
    code = """
import asyncio, resource
from plugin_executors import ExecutorsProvider
resource.setrlimit(resource.RLIMIT_NPROC, (40, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
async def main():
    provider = ExecutorsProvider()
    await provider.initialize()
    await provider.create_thread_executor(workers=41)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "ResourceLimitError: executor.thread got workers=41; the most allowed is 40 (RLIMIT_NPROC)" in done.stderr


@pytest.mark.parametrize("wrong", [{"thread_workers": 0}, {"process_workers": True}, {"stop_grace": -1}, {"x": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExecutorsSettings(**wrong)


async def test_the_plugin_reports_workers_and_tasks() -> None:
    plugin = ExecutorsPlugin()
    (provider,) = plugin.register_resource_providers()
    (collector,) = plugin.register_metrics_collectors()
    assert isinstance(provider, ExecutorsProvider)
    assert isinstance(collector, MetricsCollector)
    await provider.initialize()
    executor = await provider.create_thread_executor("pool", workers=2)
    gate = threading.Event()
    futures = [executor.submit(gate.wait, 10) for _ in range(5)]
    measured = collector.collect()
    assert measured["framework_executor_thread_workers"] == 2
    assert measured["framework_executor_thread_running"] == 2
    assert measured["framework_executor_thread_pending"] == 3
    assert measured["framework_executor_process_workers"] == 0
    gate.set()
    assert [future.result() for future in futures] == [True] * 5
    await provider.cleanup()
    assert set(collector.collect().values()) == {0}


def test_the_manifest_says_what_the_plugin_has() -> None:
    manifest = tomllib.loads(files("plugin_executors").joinpath("plugin.toml").read_text())
    (entry,) = importlib.metadata.entry_points(group="framework.plugins", name=manifest["name"])
    assert entry.load() is ExecutorsPlugin
    assert manifest["provides"]["kinds"] == [kind.kind for kind in ExecutorsProvider.kinds()]


def test_a_worker_imports_neither_the_provider_nor_pydantic() -> None:
    code = "import sys, plugin_executors.worker; print({'anyio', 'pydantic', 'framework'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_names_are_found_when_first_used() -> None:
    import plugin_executors

    assert all(getattr(plugin_executors, name) for name in plugin_executors.__all__)
    assert dir(plugin_executors) == sorted(plugin_executors.__all__)
    with pytest.raises(AttributeError, match="it has AsyncTaskMap, "):
        _ = plugin_executors.nonsense
