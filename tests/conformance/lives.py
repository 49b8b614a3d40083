"""A program that leads the same life with a lease of every kind that is installed, and says what could be seen of it.

lives.py life       acquire, use, release, expire and be refused; prints events, spans and counters as JSON
lives.py hold       acquire one of each kind, print "ready", and wait to be killed
lives.py reclaim    give back what was left, and print the same as `life`
"""

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from framework import Framework, Plugin, Recovery, Resource, ResourceProvider, Usage, creates, hookimpl, plugin
from framework.errors import ResourceLimitError
from framework.records import PluginType
from framework.testing import DummyPlugin

OWNER = "life"
SPANS = InMemorySpanExporter()
METRICS = InMemoryMetricReader()


class Events(logging.Handler):
    """Keeps every event about a lease; `until` waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []
        self.more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, dict) and str(record.msg["event"]).startswith("lease_"):
            self.seen.append(dict(record.msg))
            self.more.set()

    async def until(self, event: str, lease: int) -> None:
        while not any((one["event"], one["lease"]) == (event, lease) for one in self.seen):
            self.more.clear()
            await self.more.wait()


class SampleFile(Resource):
    def __init__(self, path: str) -> None:
        self._path = path

    def _close(self) -> None:
        os.unlink(self._path)


class SampleProvider(ResourceProvider):
    @creates("sample.file")
    async def create_file(self, name: str, size: int = 0) -> SampleFile:
        """A file with a size."""
        path = os.path.join(os.path.realpath("."), self.token())
        self.intend(Recovery.UNLINK, path)
        with open(path, "xb") as file:
            file.truncate(size)
        return SampleFile(path)


@plugin(name="sample", version="1.0", description="A file.", author="Somebody", plugin_type=PluginType.PROVIDER)
class SamplePlugin(Plugin):
    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        return [SampleProvider()]


def wait_for_stop(stop: Any) -> None:
    stop.wait()


def requests(port: int, segment: str) -> dict[str, dict[str, Any]]:
    """Return a request for each kind; all of the same size, where a kind takes one."""
    folder = os.path.realpath(".")
    return {
        "dummy.file": {},
        "dummy.link": {},
        "dummy.thing": {"size": 4096},
        "executor.process": {"workers": 1},
        "executor.thread": {"workers": 1},
        "file.directory": {"path": f"{folder}/folder"},
        "file.local": {"path": f"{folder}/data", "size": 4096},
        "file.temp": {"size": 4096, "directory": folder},
        "memory.attached": {"name": segment},
        "memory.buffer": {"size": 4096},
        "memory.cache": {"size": 4096},
        "memory.shared": {"size": 4096},
        "network.socket": {"size": 4096},
        "network.tcp": {"size": 4096, "host": "127.0.0.1", "port": port},
        "pool.entity": {"requirements": {"type": "executor"}},
        "process.local": {"command": "sleep", "args": ["30"]},
        "process.thread": {"target": wait_for_stop},
        "sample.file": {"size": 4096},
    }


@asynccontextmanager
async def host(**settings: Any) -> AsyncIterator[Framework]:
    plugins = [DummyPlugin(), SamplePlugin()]
    async with Framework.from_config({"leases": {"reclaim": False}, **settings}, plugins=plugins, owner=OWNER) as one:
        await one.plugins.activate_all()
        if any(each.kind == "pool.entity" for each in one.kinds()):
            pool: Any = await one.service("pool")
            pool.add_resource({"id": "executor-1", "type": "executor"})
            pool.add_resource({"id": "executor-2", "type": "executor"})
        yield one


def points(kind: str) -> dict[str, list[dict[str, Any]]]:
    """Return labels and value of each measurement about leases of a kind, by the name of the metric."""
    data = json.loads(METRICS.get_metrics_data().to_json())  # type: ignore[union-attr]
    found: dict[str, list[dict[str, Any]]] = {}
    for metric in (
        one for each in data["resource_metrics"] for scope in each["scope_metrics"] for one in scope["metrics"]
    ):
        for point in metric["data"]["data_points"]:
            if metric["name"].startswith("framework_lease") and point["attributes"].get("kind") == kind:
                found.setdefault(metric["name"], []).append({**point["attributes"], "value": point["value"]})
    return found


def spans(kind: str) -> list[dict[str, Any]]:
    """Return name, attributes, status and parent's name of each span about leases of a kind, in their order."""
    wanted = {"framework.kind": kind, "framework.owner": OWNER}
    finished = [one for one in SPANS.get_finished_spans() if wanted.items() <= dict(one.attributes or {}).items()]
    finished.sort(key=lambda one: one.start_time or 0)
    named = {one.context.span_id: one.name for one in finished}
    return [
        {
            "name": one.name,
            "attributes": dict(one.attributes or {}),
            "status": one.status.status_code.name,
            "recorded": [event.name for event in one.events],
            "parent": named.get(one.parent.span_id, "") if one.parent else "",
        }
        for one in finished
    ]


def report(kind: str, events: Events, held: dict[str, Any]) -> dict[str, Any]:
    seen = [one for one in events.seen if (one["kind"], one["owner"]) == (kind, OWNER)]
    return {"events": seen, "spans": spans(kind), "counters": {**points(kind), **held}}


async def something_to_attach_to(one: Framework, segment: str) -> Resource:
    """Return a segment that belongs to another owner and is in another ledger, so that nobody counts it."""
    provider = one.plugins.contributions.provider("memory.shared")
    assert provider is not None
    alone = type(provider)()
    await alone.initialize()
    return await alone.create("memory.shared", name=segment, size=4096)


async def life(kind: str, request: dict[str, Any], events: Events, segment: str) -> dict[str, Any]:
    """Lead the life of leases of one kind, of which there may be one at a time."""
    async with host(quotas={"kinds": {kind: {"count": 1}}}) as one:
        there = await something_to_attach_to(one, segment) if kind == "memory.attached" else None
        async with one.acquire(kind, **request) as resource:
            resource.mark(Usage.DEPLOYED)  # which no kind says of itself
        over = await one.acquire(kind, **request, ttl=0.01)
        await events.until("lease_released", over.lease.id)
        async with one.acquire(kind, **request):
            held = {"framework_leases_held": points(kind)["framework_leases_held"]}
            try:
                await one.acquire(kind, **request)
            except ResourceLimitError:
                pass
            else:
                raise AssertionError("it was not refused")
        if there is not None:
            await there.release()
    return report(kind, events, held)


async def hold(chosen: dict[str, dict[str, Any]], segment: str) -> None:
    async with host() as one:
        kinds = {each.kind for each in one.kinds()}
        there = await something_to_attach_to(one, segment) if "memory.attached" in kinds else None
        kept = [there, *[await one.acquire(kind, **chosen[kind]) for kind in kinds]]
        print("ready", flush=True)
        await asyncio.Event().wait()
        kept.clear()


async def main(what: str) -> None:
    events = Events()
    logging.getLogger("framework").addHandler(events)
    logging.getLogger("framework").setLevel("DEBUG")
    segment = f"life-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        chosen = requests(server.getsockname()[1], segment)
        if what == "hold":
            await hold(chosen, segment)
        async with host() as one:
            kinds = sorted({each.kind for each in one.kinds()})
            if what == "reclaim":
                await one.reclaim()
                print(json.dumps({kind: report(kind, events, {}) for kind in kinds}))
                return
        # a kind without a request is one that nobody has compared with the others
        print(json.dumps({kind: await life(kind, chosen[kind], events, segment) for kind in kinds}))


if __name__ == "__main__":
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SPANS))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([METRICS]))
    asyncio.run(main(sys.argv[1]))
