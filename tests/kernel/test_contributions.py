"""What a plugin registers is there all at once or not at all, and goes all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from framework import AllocationStrategy, Ledger, Plugin, Resource, ResourceProvider, creates, hookimpl
from framework.errors import PluginError
from framework.hooks import HookRegistry
from framework.plugins.contributions import Contributions
from framework.records import ResourceClass

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Thing(Resource):
    async def _close(self) -> None:
        pass


class Provider(ResourceProvider):
    def __init__(self, log: list[str], name: str, fails: BaseException | None = None) -> None:
        super().__init__()
        self.log, self.label, self.fails = log, name, fails

    async def cleanup(self) -> None:
        self.log.append(self.label)
        await super().cleanup()
        if self.fails is not None:
            raise self.fails


class First(Provider):
    @creates("thing.first")
    async def first(self, name: str) -> Thing:
        """Make a first thing."""
        return Thing()


class Second(Provider):
    @creates("thing.second")
    async def second(self, name: str) -> Thing:
        """Make a second thing."""
        return Thing()


class Ranked:
    def __init__(self, name: str) -> None:
        self.name = name

    def rank(self, resource_class: ResourceClass) -> float:
        return 0.0


class Sample(Plugin):
    def __init__(self, *providers: ResourceProvider, strategies: tuple[str, ...] = ()) -> None:
        self.providers, self.strategies = providers, strategies

    @hookimpl
    def register_resource_providers(self) -> tuple[ResourceProvider, ...]:
        return self.providers

    @hookimpl
    def register_allocation_strategies(self) -> list[AllocationStrategy]:
        return [Ranked(name) for name in self.strategies]


class Stage:
    """Contributions, with the hooks that a manager would bring."""

    def __init__(self) -> None:
        self.hooks = HookRegistry()
        self.contributions = Contributions(Ledger())

    async def add(self, name: str, plugin: Plugin) -> None:
        self.hooks.register(plugin, name=name)
        await self.contributions.add(name, plugin, self.hooks)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_providers_share_the_hosts_ledger_and_are_found_by_kind(stage: Stage) -> None:
    first, second = First([], "1"), Second([], "2")
    await stage.add("x", Sample(first, second))
    assert stage.contributions.provider("thing.first") is first
    assert stage.contributions.provider("thing.absent") is None
    assert first.ledger is second.ledger is stage.contributions.ledger
    assert [(one.kind, one.plugin) for one in stage.contributions.kinds()] == [
        ("thing.first", "x"),
        ("thing.second", "x"),
    ]


async def test_a_plugin_without_any_hook_contributes_nothing(stage: Stage) -> None:
    await stage.add("x", Plugin())
    assert stage.contributions.kinds() == ()
    await stage.contributions.remove("x")
    await stage.contributions.remove("x")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (OSError("no"), "no"),
        (SystemExit(1), "A provider called exit."),
        (BaseException("no"), "A provider ended by BaseException."),
        (asyncio.CancelledError(), "A provider ended by CancelledError."),
    ],
)
async def test_removing_cleans_up_newest_first_and_tries_all(stage: Stage, failure: BaseException, said: str) -> None:
    log: list[str] = []
    await stage.add("x", Sample(First(log, "1", OSError("one")), Second(log, "2", failure), strategies=("s",)))
    with pytest.raises(ExceptionGroup, match="providers of plugin 'x'") as caught:
        await stage.contributions.remove("x")
    assert log == ["2", "1"]
    assert [str(one) for one in caught.value.exceptions] == [said, "one"]
    assert stage.contributions.kinds() == ()
    assert stage.contributions.strategies() == {}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: Sample(First([], "1")), "kind 'thing.first', which plugin 'x'"),
        (lambda: Sample(strategies=("s",)), "strategy 's', which plugin 'x'"),
        (lambda: Sample(strategies=("t", "t")), "strategy 't', which plugin 'y'"),
    ],
)
async def test_a_name_that_is_taken_is_refused_and_the_holder_keeps_it(
    stage: Stage, other: Callable[[], Sample], said: str
) -> None:
    first = First([], "1")
    await stage.add("x", Sample(first, strategies=("s",)))
    with pytest.raises(PluginError) as caught:
        await stage.add("y", other())
    assert f"Plugin 'y' registers the {said} already registered." in str(caught.value)
    assert stage.contributions.provider("thing.first") is first
    assert stage.contributions.strategies().keys() == {"s"}
