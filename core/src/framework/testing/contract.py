"""`PluginContract`: what every plugin must do, as a pytest class to subclass.

class TestContract(PluginContract):
    subject = "memory"

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, object]]:
        return {"memory.shared": {"size": 4096}}
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from framework import discovery, inventory
from framework.errors import FrameworkError, InvalidRequestError
from framework.host import Framework
from framework.plugins import Plugin, loading
from framework.records import PluginState
from framework.settings import Settings, validated


def open_descriptors() -> set[str]:
    """Return the open file descriptors of this process, each with what it leads to; empty where that cannot be read."""
    found: set[str] = set()
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for number in numbers:
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue  # the descriptor of the listing itself
    return found


@pytest.mark.anyio
class PluginContract:
    """Subclass it, name the plugin, and give a request for each kind that it provides."""

    subject: ClassVar[str | type[Plugin]]
    """Name of the installed plugin, or a plugin class with a decorator."""

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        """Parameters of one valid request for each kind; override it."""
        return {}

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, as the host does."""
        return "asyncio"

    @pytest.fixture
    def found(self) -> discovery.Discovery:
        """Everything that is installed."""
        return discovery.discover()

    @pytest.fixture
    def host(self, found: discovery.Discovery) -> Framework:
        """A host, not entered yet, with the plugin and what it requires."""
        if not isinstance(self.subject, str):
            return Framework(Settings.load({"plugins": {}}), plugins=[self.subject()])
        at_once = {name: {"activation": "startup"} for name in _with_requirements(self.subject, found)}
        return Framework(Settings.load({"plugins": at_once}))

    @property
    def name(self) -> str:
        """The plugin's name."""
        if isinstance(self.subject, str):
            return self.subject
        return self.subject().metadata.name

    def test_its_manifest_is_complete(self, found: discovery.Discovery) -> None:
        """An installed plugin has a manifest, a distribution with a version, and type information."""
        if not isinstance(self.subject, str):
            pytest.skip("declared by a decorator")
        assert [fault.reason for fault in found.faults if fault.name == self.name] == []
        one = found.manifests[self.name]
        assert os.path.isfile(one.path)
        assert one.distribution
        assert one.version
        assert one.description
        assert os.path.isfile(os.path.join(os.path.dirname(one.path), "py.typed"))

    def test_its_settings_have_defaults_documentation_and_no_loose_ends(self, found: discovery.Discovery) -> None:
        """The settings model accepts nothing at all, refuses what it does not know, and describes every field."""
        path = found.manifests[self.name].settings if self.name in found.manifests else ""
        if not path:
            pytest.skip("it has no settings model")
        model = loading.load_object(path, self.name)
        validated({}, model, self.name)
        with pytest.raises(FrameworkError, match="surely_unknown"):
            validated({"surely_unknown": 1}, model, self.name)
        assert [field for field, info in model.model_fields.items() if not info.description] == []

    async def test_it_starts_and_stops_without_leaving_anything(self, host: Framework) -> None:
        """It becomes active, then stopped, and no thread, descriptor, hook or lease of it is left."""
        async with Framework(Settings.load({"plugins": {}})):
            pass  # what the kernel itself opens once for the process is not the plugin's
        threads, descriptors = set(threading.enumerate()), open_descriptors()
        async with host:
            record = host.plugins.record(self.name)
            assert (record.state, record.reason) == (PluginState.ACTIVE, "")
        assert host.plugins.record(self.name).state is PluginState.STOPPED
        assert host.kinds() == ()
        assert host.leases() == ()
        gc.collect()
        assert set(threading.enumerate()) <= threads
        assert open_descriptors() <= descriptors

    async def test_it_provides_exactly_what_its_manifest_promises(
        self, host: Framework, found: discovery.Discovery
    ) -> None:
        """Kinds, services, strategies and commands are those of the manifest."""
        if self.name not in found.manifests:
            pytest.skip("it has no manifest")
        promised = found.manifests[self.name].provides
        async with host:
            contributions = host.plugins.contributions
            assert _of(self.name, host) == sorted(promised.get("kinds", ()))
            assert set(promised.get("services", ())) <= contributions.services().keys()
            assert set(promised.get("strategies", ())) <= contributions.strategies().keys()
            hook = getattr(host.plugins.get_plugin(self.name), "register_commands", None)
            commands = hook() if hook else []
            assert sorted(one.name for one in commands) == sorted(promised.get("commands", ()))

    async def test_there_is_a_request_for_each_kind(self, host: Framework, requests: dict[str, Any]) -> None:
        """The tests below cover every kind."""
        async with host:
            assert sorted(requests) == _of(self.name, host)

    async def test_each_kind_is_lent_and_given_back(self, host: Framework, requests: dict[str, Any]) -> None:
        """A lease names kind, owner and time while held; after release nothing is, and releasing again is harmless."""
        async with host:
            for kind, parameters in requests.items():
                resource = await host.acquire(kind, owner="contract", **parameters)
                assert resource.is_allocated()
                (lease,) = host.leases()
                assert (lease.kind, lease.owner, lease.name) == (kind, "contract", resource.name)
                assert lease.acquired_at > 0
                await resource.release()
                assert not resource.is_allocated()
                assert resource.status.value == "released"
                await resource.release()
                assert host.leases() == ()

    async def test_giving_back_leaves_no_descriptor_and_no_thread(
        self, host: Framework, requests: dict[str, Any]
    ) -> None:
        """A second round opens nothing that the first one did not give back."""
        async with host:
            for kind, parameters in requests.items():
                async with host.acquire(kind, **parameters):
                    pass
                gc.collect()
                threads, descriptors = set(threading.enumerate()), open_descriptors()
                async with host.acquire(kind, **parameters):
                    pass
                gc.collect()
                assert set(threading.enumerate()) <= threads, kind
                assert open_descriptors() <= descriptors, kind

    async def test_closing_the_host_gives_back_what_was_forgotten(
        self, host: Framework, requests: dict[str, Any]
    ) -> None:
        """Leases that nobody released do not outlive the host."""
        resources = []
        async with host:
            for kind, parameters in requests.items():
                resources.append(await host.acquire(kind, **parameters))
        assert [one for one in resources if one.is_allocated()] == []
        assert host.leases() == ()

    async def test_each_kind_refuses_what_it_does_not_know(self, host: Framework, requests: dict[str, Any]) -> None:
        """An unknown parameter is named in a typed error, and nothing is left held."""
        async with host:
            for kind, parameters in requests.items():
                with pytest.raises(InvalidRequestError, match="surely_unknown"):
                    await host.acquire(kind, **parameters, surely_unknown=1)
                with pytest.raises(InvalidRequestError, match="a/b"):
                    await host.acquire(kind, **{**parameters, "name": "a/b"})
            assert host.leases() == ()

    async def test_cancelling_an_acquisition_leaves_nothing(self, host: Framework, requests: dict[str, Any]) -> None:
        """Whenever the caller is cancelled, the lease is delivered or gone."""
        async with host:
            for kind, parameters in requests.items():
                for steps in range(4):
                    task = asyncio.ensure_future(_hold(host, kind, parameters))
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    assert host.leases() == (), (kind, steps)


async def _hold(host: Framework, kind: str, parameters: dict[str, Any]) -> None:
    async with host.acquire(kind, **parameters):
        await asyncio.get_running_loop().create_future()


def _of(plugin: str, host: Framework) -> list[str]:
    return sorted(record.kind for record in host.kinds() if record.plugin == plugin)


def _with_requirements(name: str, found: discovery.Discovery) -> Iterable[str]:
    """Return a plugin and everything that it requires; skip the test where that is not installed."""
    everything = Settings.load({"plugins": dict.fromkeys(found.manifests)}, environ={})
    taken = inventory.take(found, everything)
    if taken.records[name].state is PluginState.BLOCKED:
        pytest.skip(taken.records[name].reason)
    wanted, todo = set(), [name]
    while todo:
        one = todo.pop()
        if one not in wanted:
            wanted.add(one)
            todo += taken.plan.needs[one]
    return sorted(wanted)
