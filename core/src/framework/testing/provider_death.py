"""`Death`: what must hold when a process that uses a provider is killed or forked; part of `ProviderContract`."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import os
from typing import Any, ClassVar

import pytest

from framework.journal import Content, directory_path
from framework.records import Recovery
from framework.resources import Resource, ResourceProvider
from framework.testing.crashes import die, killed_at_call, killed_at_step
from framework.testing.forks import end_as_programs_do, forked
from framework.testing.lending import used_once
from framework.testing.scene import Scene, journals, reclaimed
from framework.testing.traces import Traces


@pytest.mark.anyio
class Death:
    """Each test ends children of its own; what they left is given back by `framework.recovery.reclaim`."""

    exhaustive: ClassVar[bool] = False
    """Whether `test_killed_at_each_call_it_leaves_nothing` runs: hundreds of processes for some providers."""

    async def use(self, resource: Resource) -> None:
        """Use a resource, and raise if that does not work; override it where there is something to see."""

    async def test_killed_at_each_step_of_its_journal_it_leaves_nothing(
        self, provider: ResourceProvider, requests: dict[str, Any], scene: Scene
    ) -> None:
        """Killed right before or after any write to its journal, or while it holds a kind, nothing outlives recovery.

        Two reclaimers go about it at once, and what only looks like the lease's is left alone.
        """
        await used_once(provider, requests)
        for kind, parameters in requests.items():
            await _die_at_each(killed_at_step, scene, provider, kind, parameters)

    async def test_killed_at_each_call_it_leaves_nothing(
        self, provider: ResourceProvider, requests: dict[str, Any], scene: Scene
    ) -> None:
        """The same right before each call into the system while it lends and is given back; if `exhaustive` is set."""
        if not self.exhaustive:
            pytest.skip("it takes long; set exhaustive = True in the class of the test")
        await used_once(provider, requests)
        for kind, parameters in requests.items():
            await _die_at_each(killed_at_call, scene, provider, kind, parameters)

    async def test_reclaiming_again_takes_nothing_of_others(
        self, provider: ResourceProvider, requests: dict[str, Any], scene: Scene
    ) -> None:
        """What is gone already is fine for a second reclaimer, and so is what somebody else put in its place since."""
        await used_once(provider, requests)
        with scene:
            await forked(functools.partial(_hold_and_die, provider, requests))
            told = [(path, _read(path), content) for path, content in journals()]
            assert await scene.tidied(provider) == ""
            strangers = []
            for path, raw, content in told:
                _put_back(path, raw)
                strangers += _settle_in(content)
            await provider.initialize()
            outcomes = await reclaimed(provider)
            await provider.cleanup()
            assert [one for one in outcomes if one.outcome not in {"reclaimed", "gone"}] == []
            assert [path for path in strangers if not _taken_away(path)] == []
            assert await scene.left() == {}

    @pytest.mark.parametrize("end", ["releases", "forgets", "exits"])
    async def test_a_forked_child_takes_nothing_away(
        self, provider: ResourceProvider, requests: dict[str, Any], scene: Scene, end: str
    ) -> None:
        """However a child ends, what its parent held when it was forked stays the parent's, and usable."""
        await used_once(provider, requests)
        await provider.initialize()
        with scene:
            held = [await provider.create(kind, **parameters) for kind, parameters in requests.items()]
            made = scene.before.added()
            child = {"releases": _release, "forgets": _forget, "exits": _nothing}[end]
            how = end_as_programs_do if end == "exits" else os._exit
            ending = await forked(functools.partial(child, held), end=how)
            assert (ending.code, ending.said) == (0, "")
            assert [one for one in held if not one.is_allocated()] == []
            assert Traces.missing(made) == {}
            for one in held:
                await self.use(one)
                await one.release()
            assert await scene.left() == {}
        await provider.cleanup()

    async def test_what_a_forked_child_lends_is_its_own(
        self, provider: ResourceProvider, requests: dict[str, Any], scene: Scene
    ) -> None:
        """A child that was forked from a process with a provider lends by itself; killed, it leaves nothing."""
        await used_once(provider, requests)
        for kind, parameters in requests.items():
            with scene:
                await provider.initialize()
                ending = await forked(functools.partial(_hold_and_die, provider, {kind: parameters}))
                assert ending.killed, ending.said
                assert await scene.tidied(provider) == "", kind


async def _die_at_each(
    killer: Any, scene: Scene, provider: ResourceProvider, kind: str, parameters: dict[str, Any]
) -> None:
    """Kill children at one step after the other, until one comes through alive."""

    async def live(number: int) -> None:
        await provider.initialize()
        with killer(number) as step:
            resource = await provider.create(kind, **parameters)
            step()
            await resource.release()
            step()

    with scene:
        for number in itertools.count():
            ending = await forked(functools.partial(live, number))
            wrong = await scene.tidied(provider)
            assert wrong == "", f"{kind}, killed at step {number}: {wrong}"
            if not ending.killed:
                assert ending.code == 0, ending.said
                return


async def _hold_and_die(provider: ResourceProvider, requests: dict[str, Any]) -> None:
    await provider.initialize()
    held = [await provider.create(kind, **parameters) for kind, parameters in requests.items()]
    assert held
    die()


async def _release(held: list[Resource]) -> None:
    for one in [*held, *held]:
        await one.release()


async def _forget(held: list[Resource]) -> None:
    for one in held:
        one.__del__()  # as when nobody refers to it any more; in here the parent's test still does
    gc.collect()
    await asyncio.sleep(0)


async def _nothing(_: list[Resource]) -> None:
    pass


def _settle_in(content: Content) -> list[str]:
    """Put somebody else's file where each was whose name does not say whose it is; return where."""
    targets = [target for entry in content.entries.values() for target in entry.targets]
    paths = [one.path for one in targets if one.verb is Recovery.UNLINK and one.proof]
    for path in paths:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return paths


def _taken_away(path: str) -> bool:
    """Remove a file, and return whether it was still there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _put_back(path: str, content: bytes) -> None:
    """Put a journal back, as one whose reclaimer died before it had noted anything."""
    assert path.startswith(directory_path())
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
