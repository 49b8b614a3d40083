"""`ProviderContract`: what every provider must do by itself, without a host, as a pytest class to subclass.

class TestProvider(ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return MemoryProvider()

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, object]]:
        return {"memory.shared": {"size": 4096}}
"""

from __future__ import annotations

from typing import Any

import pytest

from framework.errors import InvalidRequestError, ResourceError, UnknownKindError
from framework.resources import ResourceProvider
from framework.testing.lending import used_once
from framework.testing.provider_death import Death
from framework.testing.provider_limits import Limits
from framework.testing.provider_release import Release
from framework.testing.surroundings import Surroundings
from framework.testing.traces import Traces


@pytest.mark.anyio
class ProviderContract(Release, Limits, Death, Surroundings):
    """Subclass it, give a provider that is not initialized, and a request for each kind that it creates."""

    @pytest.fixture
    def provider(self) -> ResourceProvider:
        """A provider, not initialized; override it."""
        pytest.fail(f"{type(self).__name__} gives no provider; override the fixture `provider`.")

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        """Parameters of one valid request for each kind; override it."""
        return {}

    async def test_there_is_a_request_for_each_kind(self, provider: ResourceProvider, requests: dict[str, Any]) -> None:
        """The tests below cover every kind."""
        assert sorted(requests) == [one.kind for one in provider.kinds()]

    async def test_it_describes_each_kind(self, provider: ResourceProvider) -> None:
        """The method that creates a kind has a docstring, and types for all its parameters."""
        for one in provider.kinds():
            assert one.description, one.kind
            assert [each.name for each in one.parameters if "_empty" in each.type] == [], one.kind

    async def test_creating_before_initialize_is_refused(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """Nobody gets anything from a provider that is not ready, and nothing is held."""
        for kind, parameters in requests.items():
            with pytest.raises(ResourceError):
                await provider.create(kind, **parameters)
        assert provider.ledger.records() == ()

    async def test_initializing_twice_is_harmless(self, provider: ResourceProvider, requests: dict[str, Any]) -> None:
        """The second time does nothing: what was lent stays lent, and cleaning up once gives all back."""
        await provider.initialize()
        before = Traces.now()
        held = [await provider.create(kind, **parameters) for kind, parameters in requests.items()]
        await provider.initialize()
        assert [one for one in held if not one.is_allocated()] == []
        for one in held:
            await one.release()
        assert before.left() == {}
        await provider.cleanup()

    async def test_each_kind_is_lent_and_given_back(self, provider: ResourceProvider, requests: dict[str, Any]) -> None:
        """Kind, name and size are in the ledger while it is held; releasing again is harmless."""
        await provider.initialize()
        for kind, parameters in requests.items():
            resource = await provider.create(kind, **parameters)
            (lease,) = provider.ledger.records()
            assert (lease.kind, lease.name) == (kind, parameters.get("name", resource.name))
            assert resource.is_allocated()
            await resource.release()
            await resource.release()
            assert not resource.is_allocated()
            assert provider.ledger.records() == ()
        await provider.cleanup()

    async def test_cleanup_gives_back_what_was_forgotten(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """Nothing that it lent outlives it, and no thread, descriptor, child or temporary file is left."""
        await used_once(provider, requests)
        before = Traces.now()
        await provider.initialize()
        held = [await provider.create(kind, **parameters) for kind, parameters in requests.items()]
        await provider.cleanup()
        assert [one for one in held if one.is_allocated()] == []
        assert provider.ledger.records() == ()
        assert before.left() == {}

    async def test_cleaning_up_twice_is_harmless(self, provider: ResourceProvider) -> None:
        """The second time does nothing, also without `initialize` before."""
        await provider.cleanup()
        await provider.initialize()
        await provider.cleanup()
        await provider.cleanup()

    async def test_creating_after_cleanup_is_refused(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """A provider that was cleaned up lends nothing, until it is initialized again."""
        await used_once(provider, requests)
        for kind, parameters in requests.items():
            with pytest.raises(ResourceError):
                await provider.create(kind, **parameters)
        assert provider.ledger.records() == ()
        await used_once(provider, requests)

    async def test_what_it_does_not_know_is_refused(self, provider: ResourceProvider, requests: dict[str, Any]) -> None:
        """An unknown kind and an unknown parameter are named in typed errors, and nothing is held."""
        await provider.initialize()
        with pytest.raises(UnknownKindError, match=r"surely\.unknown"):
            await provider.create("surely.unknown")
        for kind, parameters in requests.items():
            with pytest.raises(InvalidRequestError, match="surely_unknown"):
                await provider.create(kind, **parameters, surely_unknown=1)
        assert provider.ledger.records() == ()
        await provider.cleanup()
