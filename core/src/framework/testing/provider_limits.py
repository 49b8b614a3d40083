"""`Limits`: what must hold when nothing is left to lend from; part of `ProviderContract`."""

from __future__ import annotations

import functools
import os
import resource as system
from typing import Any

import pytest

from framework.errors import ResourceError, ResourceLimitError
from framework.records import Quota
from framework.resources import ResourceProvider
from framework.testing.forks import forked
from framework.testing.lending import each_kind, used_once
from framework.testing.traces import Traces

ENOUGH = 256
"""With so many descriptors to spare every kind can be lent."""


@pytest.mark.anyio
class Limits:
    """Each test lets every kind run against a limit, and sees that it is refused well, and works again afterwards."""

    async def test_a_quota_that_is_reached_refuses(self, provider: ResourceProvider, requests: dict[str, Any]) -> None:
        """Beyond a quota of the ledger nothing is lent and nothing is left; after a release it works again."""
        async for kind, create in each_kind(provider, requests):
            quota = Quota((kind,), count=1)
            provider.ledger.bound(quota)
            for _ in range(2):
                async with await create():
                    with pytest.raises(ResourceLimitError, match=kind):
                        await create()
                    assert len(provider.ledger.records()) == 1, kind
            provider.ledger.unbound(quota)
            assert provider.ledger.records() == (), kind

    async def test_without_descriptors_it_is_refused_and_leaves_nothing(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """With none, one, two, … descriptors to spare it raises a `ResourceError`, until there are enough."""
        await used_once(provider, requests)
        for kind, parameters in requests.items():
            ending = await forked(functools.partial(_starve, provider, kind, parameters))
            assert (ending.code, ending.said) == (0, ""), kind


async def _starve(provider: ResourceProvider, kind: str, parameters: dict[str, Any]) -> str:
    """Lend with ever more descriptors; return what is wrong, or nothing."""
    await provider.initialize()
    async with await provider.create(kind, **parameters):
        pass
    before = Traces.now()
    error = ""
    for spare in range(ENOUGH):
        error, typed, resource = "", True, None
        former = _limit_descriptors(spare)
        try:
            resource = await provider.create(kind, **parameters)
        except Exception as caught:  # noqa: BLE001 - which one it is, is looked at below
            error, typed = repr(caught), isinstance(caught, ResourceError)  # not kept: its frames hold what was made
        finally:
            system.setrlimit(system.RLIMIT_NOFILE, former)
        if resource is not None:
            await resource.release()
        elif not typed:
            return f"with {spare} descriptors to spare it raised {error}; expected a ResourceError"
        held, left = provider.ledger.records(), before.left()
        if held or left:
            return f"with {spare} descriptors to spare it left {held or left} after {error}"
        if not error:
            await provider.cleanup()
            return ""
    return f"with {ENOUGH} descriptors to spare it still raised {error}"


def _limit_descriptors(spare: int) -> tuple[int, int]:
    """Let this process open only so many descriptors more; return the former limits."""
    former = system.getrlimit(system.RLIMIT_NOFILE)
    free, number = spare, -1
    while free >= 0:
        number += 1
        free -= not _is_open(number)
    system.setrlimit(system.RLIMIT_NOFILE, (min(number, former[0]), former[1]))
    return former


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
