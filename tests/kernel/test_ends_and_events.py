"""What is told of a lease, and when its time is over."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from framework import Framework, MetricsManager, Resource, ResourceProvider, creates
from framework.errors import InvalidRequestError, PolicyError, ResourceLimitError, ResourceUnavailableError
from framework.telemetry.tracing import describe, fail, span
from framework.testing import DummyPlugin


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Thing(Resource):
    def _close(self) -> None:
        """Nothing to give back."""


class RefusingProvider(ResourceProvider):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    @creates("thing.refused")
    async def create_thing(self, name: str) -> Thing:
        """Never one."""
        raise self.error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "event"),
    [
        (ResourceLimitError("too much"), "refused"),
        (PolicyError("forbidden"), "refused"),
        (ResourceUnavailableError("not now"), "failed"),
        (InvalidRequestError("nonsense"), "failed"),
        (OSError("broken"), "failed"),
    ],
)
async def test_what_a_provider_forbids_is_refused_and_what_breaks_has_failed(error: Exception, event: str) -> None:
    provider = RefusingProvider(error)
    await provider.initialize()

    with pytest.raises(type(error)):
        await provider.create_thing("one")

    assert provider.ledger.events() == {(event, "thing.refused"): 1}
    assert provider.ledger.records() == ()


def exported(name: str) -> dict[tuple[str, str], float]:
    """Return what the process' manager of metrics would export now, by event and kind."""
    total = MetricsManager.get_instance()._sum(name)
    return {(dict(labels)["event"], dict(labels)["kind"]): value for labels, value in total.items()}


@pytest.mark.anyio
async def test_what_happens_while_a_host_closes_is_counted_and_no_count_falls_afterwards() -> None:
    name, released = "framework_lease_events", ("released", "dummy.thing")
    async with Framework.from_config({"plugins": {}}, plugins=[DummyPlugin()]) as host:
        before = exported(name).get(released, 0)
        kept = await host.acquire("dummy.thing")
        assert exported(name).get(released, 0) == before
    assert not kept.is_allocated()
    assert exported(name)[released] == before + 1
    async with Framework.from_config({"plugins": {}}, plugins=[DummyPlugin()]):
        assert exported(name)[released] == before + 1


def test_what_a_forgotten_counter_said_last_is_kept_and_a_gauge_is_not() -> None:
    metrics = MetricsManager()
    read: Callable[[], dict[Any, float]] = lambda: {(): 3.0}  # noqa: E731 - it is told from others by its identity

    for rises, expected in ((True, {(): 3.0}), (False, {})):
        name = f"rises {rises}"
        metrics.observe(name, read, rises=rises)
        metrics.forget(name, read)
        metrics.forget(name, read)
        assert metrics._sum(name) == expected


def test_a_span_says_that_something_failed_though_nothing_was_raised() -> None:
    one = TracerProvider().get_tracer("test").start_span("lease.reclaim")
    describe(one, outcome="failed")
    fail(one, "it is stuck")
    one.end()

    assert dict(getattr(one, "attributes", {})) == {"framework.outcome": "failed"}
    status = one.status  # type: ignore[attr-defined]  # the SDK's own span, which has one
    assert (status.status_code, status.description) == (StatusCode.ERROR, "it is stuck")
    describe(None, outcome="failed")
    fail(None, "nobody collects spans")
    with span("lease.use") as nothing:
        assert nothing is None
