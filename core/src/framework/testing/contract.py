"""`PluginContract`: what every plugin must do, as a pytest class to subclass.

class TestContract(PluginContract):
    subject = "memory"

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, object]]:
        return {"memory.shared": {"size": 4096}}
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from framework import discovery, inventory
from framework.errors import FrameworkError, InvalidRequestError
from framework.host import Framework
from framework.plugins import Plugin, loading
from framework.records import PluginState
from framework.settings import Settings, validated
from framework.testing import imports
from framework.testing.cancellation import at_each_step
from framework.testing.crashes import die
from framework.testing.forks import forked
from framework.testing.permissions import PERMISSIONS, Recorder
from framework.testing.scene import Scene
from framework.testing.surroundings import Surroundings
from framework.testing.traces import Traces


@pytest.mark.anyio
class PluginContract(Surroundings):
    """Subclass it, name the plugin, and give a request for each kind that it provides."""

    subject: ClassVar[str | type[Plugin]]
    """Name of the installed plugin, or a plugin class with a decorator."""

    import_budget_ms = 300.0
    """Most milliseconds that importing the plugin's module may take, once the kernel and pydantic are there."""

    forbidden_imports = ("IPython", "pip", "pkg_resources", "pytest", "setuptools", "tkinter", "unittest")
    """Packages that importing the plugin's module must not bring in."""

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        """Parameters of one valid request for each kind; override it."""
        return {}

    @pytest.fixture
    def found(self) -> discovery.Discovery:
        """Everything that is installed."""
        return discovery.discover()

    @pytest.fixture
    def host(self, found: discovery.Discovery) -> Framework:
        """A host, not entered yet, with the plugin and what it requires."""
        if not isinstance(self.subject, str):
            return Framework(Settings.load({"plugins": {}}), plugins=[self.subject()])
        return _host_of(_with_requirements(self.subject, found))

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

    def test_finding_it_does_not_import_it(self, report: imports.ImportReport, found: discovery.Discovery) -> None:
        """The framework lists the plugin, and knows what it provides, without running a line of it."""
        if self.name not in found.manifests:
            pytest.skip("it has no manifest")
        assert self._module(found) in report.modules

    def test_importing_it_is_cheap(self, report: imports.ImportReport, found: discovery.Discovery) -> None:
        """It costs at most `import_budget_ms` more than the kernel; the best of three counts."""
        best = report.milliseconds
        for _ in range(2):
            if best > self.import_budget_ms:
                best = min(best, imports.fresh_report(self._module(found)).milliseconds)
        assert best <= self.import_budget_ms

    def test_importing_it_brings_in_nothing_forbidden(self, report: imports.ImportReport) -> None:
        """None of `forbidden_imports` is imported with it."""
        assert [one for one in report.modules if one.partition(".")[0] in self.forbidden_imports] == []

    def test_importing_it_has_no_effects(self, report: imports.ImportReport) -> None:
        """No thread, child, descriptor, socket or file, no change to the process, nothing printed."""
        assert report.effects == ()

    async def test_it_starts_and_stops_without_leaving_anything(self, host: Framework) -> None:
        """It becomes active, then stopped, and no thread, descriptor, child, temporary file, hook or lease is left."""
        async with Framework(Settings.load({"plugins": {}})):
            pass  # what the kernel itself opens once for the process is not the plugin's
        before = Traces.now()
        async with host:
            record = host.plugins.record(self.name)
            assert (record.state, record.reason) == (PluginState.ACTIVE, "")
        assert host.plugins.record(self.name).state is PluginState.STOPPED
        assert host.kinds() == ()
        assert host.leases() == ()
        assert before.left() == {}

    async def test_cleaning_up_twice_is_harmless(self, found: discovery.Discovery) -> None:
        """The plugin alone can be cleaned up again, and a second object of it can live after the first."""
        for _ in range(2):
            plugin = self._object(found)
            await plugin.initialize()
            await plugin.cleanup()
            await plugin.cleanup()

    async def test_it_provides_exactly_what_its_manifest_promises(
        self, host: Framework, found: discovery.Discovery
    ) -> None:
        """Kinds, services, strategies and commands are those of the manifest."""
        if self.name not in found.manifests:
            pytest.skip("it has no manifest")
        promised = found.manifests[self.name].provides
        others = [name for name in _with_requirements(self.name, found) if name != self.name]
        async with _host_of(others) as without:
            services, strategies = _registered(without)
        async with host:
            now_services, now_strategies = _registered(host)
            assert _of(self.name, host) == sorted(promised.get("kinds", ()))
            assert sorted(now_services - services) == sorted(promised.get("services", ()))
            assert sorted(now_strategies - strategies) == sorted(promised.get("strategies", ()))
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

    async def test_giving_back_leaves_nothing(self, host: Framework, requests: dict[str, Any]) -> None:
        """A second round opens no thread, descriptor, child or temporary file that it does not give back."""
        async with host:
            for kind, parameters in requests.items():
                async with host.acquire(kind, **parameters):
                    pass
                before = Traces.now()
                async with host.acquire(kind, **parameters):
                    pass
                assert before.left() == {}, kind

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

    async def test_the_next_host_gives_back_what_a_killed_one_left(
        self, host: Framework, requests: dict[str, Any], scene: Scene
    ) -> None:
        """When a host opens, nothing is there any more of what a process held that was killed."""

        async def hold_and_die() -> None:
            async with host:
                held = [await host.acquire(kind, **parameters) for kind, parameters in requests.items()]
                assert len(held) == len(requests)
                die()

        with scene:
            ending = await forked(hold_and_die)
            assert ending.killed, ending.said
            async with host:
                pass
            assert await scene.left() == {}

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
        """At whichever step the caller is cancelled, the lease is delivered or gone."""
        async with host:
            for kind, parameters in requests.items():
                async for steps, resources in at_each_step(functools.partial(_acquired, host, kind, parameters)):
                    for one in resources:
                        await one.release()
                    assert host.leases() == (), (kind, steps)

    async def test_it_does_only_what_it_declares(
        self, host: Framework, requests: dict[str, Any], found: discovery.Discovery, tmp_path_factory: Any
    ) -> None:
        """Whatever it does to the machine while each kind is lent once is covered by a permission in the manifest."""
        if self.name not in found.manifests:
            pytest.skip("it has no manifest")
        declared = [one.name for one in found.manifests[self.name].permissions]
        assert [one for one in declared if one not in PERMISSIONS] == [], f"known are {', '.join(PERMISSIONS)}"
        with Recorder(str(tmp_path_factory.getbasetemp())) as recorder:
            async with host:
                for kind, parameters in requests.items():
                    async with host.acquire(kind, **parameters):
                        recorder.look()
        assert recorder.beyond(declared) == {}

    @pytest.fixture
    def report(self, found: discovery.Discovery) -> imports.ImportReport:
        """What importing the plugin's module does, in a process of its own."""
        if not isinstance(self.subject, str) and self.subject.__module__ == type(self).__module__:
            pytest.skip("it is defined in the file of its test")
        report = imports.report(self._module(found))
        assert report.failure == ""
        return report

    def _module(self, found: discovery.Discovery) -> str:
        if not isinstance(self.subject, str):
            return self.subject.__module__
        return found.manifests[self.subject].entry_point.partition(":")[0]

    def _object(self, found: discovery.Discovery) -> Plugin:
        """Return the plugin with its default settings, as a host makes it."""
        if not isinstance(self.subject, str):
            return self.subject()
        manifest = found.manifests[self.subject]
        plugin = loading.load(manifest)
        model = loading.settings_model(manifest)
        plugin.settings = {} if model is None else validated({}, model, self.subject)
        return plugin


def _host_of(names: Iterable[str]) -> Framework:
    return Framework(Settings.load({"plugins": {name: {"activation": "startup"} for name in names}}, environ={}))


async def _acquired(host: Framework, kind: str, parameters: dict[str, Any]) -> Any:
    return await host.acquire(kind, **parameters)


def _registered(host: Framework) -> tuple[set[str], set[str]]:
    """Return the names of all services and strategies."""
    contributions = host.plugins.contributions
    return set(contributions.services()), set(contributions.strategies())


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
