import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread
import pytest

from framework import LeaseRecord, Ledger, Recovery, Resource, ResourceProvider, ResourceStatus, Usage, creates
from framework.errors import (
    InvalidRequestError,
    LeaseStateError,
    ResourceError,
    ResourceUnavailableError,
    UnknownKindError,
)
from framework.journal import Journal, parse
from framework.records import Allocation
from framework.resources import current_owner, lease_owner

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Thing(Resource):
    """Can be told to fail, and to wait, while it is given back."""

    release_timeout = 0.05

    def __init__(self, closed: list[str]) -> None:
        self.closed = closed
        self.failures = 0
        self.gate: anyio.Event | None = None
        self.closing = anyio.Event()

    async def _close(self) -> None:
        self.closing.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            msg = f"{self.name} does not want to"
            raise OSError(msg)
        self.closed.append(self.name)


class PatientThing(Thing):
    """Has all the time that a test needs."""

    release_timeout = 5


class ThingProvider(ResourceProvider):
    """Makes things."""

    name = "things"

    def __init__(self, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self.closed: list[str] = []
        self.started = anyio.Event()
        self.go = anyio.Event()

    @creates("thing.plain")
    async def create_thing(self, name: str, size: int = 0) -> Thing:
        """A thing."""
        return Thing(self.closed)

    @creates("thing.patient")
    async def create_patient(self, name: str) -> PatientThing:
        """A thing that takes its time."""
        return PatientThing(self.closed)

    @creates("thing.slow")
    async def create_slow(self, name: str) -> Thing:
        """A thing that is made when `go` is set."""
        self.started.set()
        await self.go.wait()
        return Thing(self.closed)

    @creates("thing.broken")
    async def create_broken(self, name: str, error: Exception) -> Thing:
        """A thing that cannot be made."""
        raise error


@pytest.fixture
async def provider() -> AsyncIterator[ThingProvider]:
    provider = ThingProvider()
    await provider.initialize()
    yield provider
    await provider.cleanup()
    assert provider.ledger.records() == ()


def only_lease(provider: ResourceProvider) -> LeaseRecord:
    (record,) = provider.ledger.records()
    return record


async def test_a_provider_works_alone(provider: ThingProvider) -> None:
    thing = await provider.create_thing("one", size=7)
    assert (thing.name, thing.kind, thing.size, thing.owner) == ("one", "thing.plain", 7, current_owner())
    assert thing.is_allocated()
    assert thing.status is ResourceStatus.AVAILABLE
    assert thing.lease == only_lease(provider)
    assert repr(thing) == "<Thing thing.plain 'one' available>"
    await thing.release()
    assert not thing.is_allocated()
    assert repr(thing) == "<Thing thing.plain 'one' released>"
    assert provider.closed == ["one"]


async def test_leaving_the_context_releases(provider: ThingProvider) -> None:
    with pytest.raises(KeyError):
        async with await provider.create_thing("one"):
            raise KeyError
    assert provider.closed == ["one"]


async def test_a_resource_may_say_what_it_does_when_it_is_lent() -> None:
    class Deployed(Thing):
        lent_as = Usage.DEPLOYED

    class DeployedProvider(ResourceProvider):
        @creates("thing.deployed")
        async def create_deployed(self, name: str) -> Deployed:
            """A thing that somebody has already."""
            return Deployed([])

    provider = DeployedProvider()
    await provider.initialize()
    async with await provider.create("thing.deployed") as thing:
        assert thing.status is ResourceStatus.DEPLOYED
        assert provider.ledger.events() == {("acquired", "thing.deployed"): 1}
    await provider.cleanup()


async def test_create_by_kind_makes_up_a_name(provider: ThingProvider) -> None:
    thing = await provider.create("thing.plain", size=3)
    assert thing.name.startswith("thing.plain-")
    assert thing.size == 3


async def test_an_unknown_kind_is_refused_with_a_suggestion(provider: ThingProvider) -> None:
    with pytest.raises(UnknownKindError, match=r"things does not create 'thing\.plane'.*Did you mean 'thing\.plain'\?"):
        await provider.create("thing.plane")


@pytest.mark.parametrize("wrong", [{"size": -1}, {"size": "1"}, {"name": "a/b"}, {"colour": "red"}])
async def test_a_wrong_request_opens_no_lease(provider: ThingProvider, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        await provider.create("thing.plain", **wrong)
    assert (provider.ledger.statistics().failed, provider.ledger.records()) == (0, ())


@pytest.mark.parametrize("error", [ResourceUnavailableError("No."), OSError("no"), ExceptionGroup("no", [OSError()])])
async def test_a_creation_that_fails_leaves_nothing(provider: ThingProvider, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await provider.create_broken("one", error)
    assert caught.value is error
    assert getattr(error, "resource", "one") == "one"
    assert (provider.ledger.statistics().failed, provider.ledger.records()) == (1, ())


async def test_a_creation_that_is_cancelled_leaves_nothing(provider: ThingProvider) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(provider.create_slow, "one")
        await provider.started.wait()
        assert only_lease(provider).allocation is Allocation.INTENT
        group.cancel_scope.cancel()
    assert (provider.ledger.statistics().failed, provider.ledger.records()) == (1, ())


async def test_an_uninitialized_provider_creates_nothing() -> None:
    provider = ThingProvider()
    with pytest.raises(ResourceError, match="things is not initialized"):
        await provider.create_thing("one")
    await provider.initialize()
    await provider.cleanup()
    with pytest.raises(ResourceError, match="things is not initialized"):
        await provider.create_thing("one")
    await provider.initialize()
    await (await provider.create_thing("one")).release()
    assert provider.closed == ["one"]


async def test_releasing_twice_is_counted_and_harmless(provider: ThingProvider) -> None:
    thing = await provider.create_thing("one")
    await thing.release()
    await thing.release()
    assert provider.closed == ["one"]
    assert provider.ledger.statistics().repeated_releases == 1


async def test_a_concurrent_release_waits_for_the_first(provider: ThingProvider) -> None:
    thing = await provider.create_patient("one")
    thing.gate = anyio.Event()
    order: list[str] = []

    async def release(who: str) -> None:
        await thing.release()
        order.append(f"{who} after {provider.closed}")

    async with anyio.create_task_group() as group:
        group.start_soon(release, "first")
        await thing.closing.wait()
        group.start_soon(release, "second")
        await anyio.wait_all_tasks_blocked()
        assert order == []
        thing.gate.set()
    assert sorted(order) == ["first after ['one']", "second after ['one']"]


async def test_a_release_that_is_cancelled_is_finished_all_the_same(provider: ThingProvider) -> None:
    thing = await provider.create_patient("one")
    thing.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(thing.release)
        await thing.closing.wait()
        group.cancel_scope.cancel()
        thing.gate.set()
    assert provider.closed == ["one"]
    assert thing.status is ResourceStatus.RELEASED


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_release_that_asyncio_cancels_is_finished_all_the_same(provider: ThingProvider, how: str) -> None:
    thing = await provider.create_patient("one")
    thing.gate = anyio.Event()

    async def release() -> None:
        if how == "cancel":
            await thing.release()
        else:
            async with asyncio.timeout(0.01):
                await thing.release()

    task = asyncio.create_task(release())
    await thing.closing.wait()
    if how == "cancel":
        task.cancel()
    else:
        await asyncio.sleep(0.02)  # until the time limit is over, which is what is tested
    task.cancel()
    await asyncio.sleep(0)
    assert thing.lease.allocation is Allocation.RELEASING
    thing.gate.set()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]

    assert isinstance(outcome, asyncio.CancelledError | TimeoutError)
    assert provider.closed == ["one"]
    assert not thing.is_allocated()


async def test_what_is_no_resource_is_refused_and_leaves_no_lease() -> None:
    class Careless(ResourceProvider):
        @creates("thing.none")
        async def create_none(self, name: str) -> Thing:
            """Nothing."""
            return None  # type: ignore[return-value]  # the mistake that is tested

    careless = Careless()
    await careless.initialize()

    with pytest.raises(ResourceError, match=r"thing\.none was created as None; expected a Resource"):
        await careless.create_none("one")
    assert careless.ledger.records() == ()


async def test_a_release_that_fails_is_visible_and_can_be_tried_again(provider: ThingProvider) -> None:
    thing = await provider.create_thing("one")
    thing.failures = 2
    for _ in range(2):
        with pytest.raises(OSError, match="one does not want to"):
            await thing.release()
        assert only_lease(provider).allocation is Allocation.QUARANTINED
        assert only_lease(provider).status is ResourceStatus.ERROR
    await thing.release()
    assert provider.closed == ["one"]


async def test_a_release_that_takes_too_long_is_quarantined(provider: ThingProvider) -> None:
    thing = await provider.create_thing("one")
    thing.gate = anyio.Event()
    with pytest.raises(ResourceError, match=r"Releasing thing\.plain 'one' took longer than 0\.05 s") as caught:
        await thing.release()
    assert caught.value.resource == "one"
    assert only_lease(provider).allocation is Allocation.QUARANTINED
    thing.gate.set()
    await thing.release()
    assert provider.closed == ["one"]


async def test_a_concurrent_release_shares_the_failure_of_the_first(provider: ThingProvider) -> None:
    thing = await provider.create_patient("one")
    thing.gate, thing.failures = anyio.Event(), 1
    outcomes: list[str] = []

    async def release() -> None:
        try:
            await thing.release()
        except OSError as error:
            outcomes.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(release)
        await thing.closing.wait()
        tasks.start_soon(release)
        await anyio.wait_all_tasks_blocked()
        thing.gate.set()

    assert outcomes == ["one does not want to"] * 2


async def test_a_release_from_another_thread_waits_for_the_first(provider: ThingProvider) -> None:
    thing = await provider.create_patient("one")
    thing.gate = anyio.Event()
    states: list[bool] = []

    def release_elsewhere() -> None:
        anyio.run(thing.release)
        states.append(thing.is_allocated())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(thing.release)
        await thing.closing.wait()
        tasks.start_soon(anyio.to_thread.run_sync, release_elsewhere)
        while not thing._lease.watchers:
            await anyio.sleep(0)
        assert states == []
        thing.gate.set()

    assert states == [False]


async def test_a_time_limit_of_the_resource_itself_is_not_taken_for_ours(provider: ThingProvider) -> None:
    class Peerless(Thing):
        async def _close(self) -> None:
            msg = "the peer did not answer"
            raise TimeoutError(msg)

    class PeerlessProvider(ResourceProvider):
        @creates("thing.peerless")
        async def create_peerless(self, name: str) -> Peerless:
            """A thing whose peer is gone."""
            return Peerless([])

    peerless = PeerlessProvider()
    await peerless.initialize()
    thing = await peerless.create_peerless("one")

    with pytest.raises(TimeoutError, match="the peer did not answer"):
        await thing.release()


async def test_what_is_created_while_the_provider_closes_is_released(provider: ThingProvider) -> None:
    async with anyio.create_task_group() as tasks:

        async def create() -> None:
            with pytest.raises(ResourceError, match="closed while it created"):
                await provider.create_slow("late")

        tasks.start_soon(create)
        await provider.started.wait()
        await provider.cleanup()
        provider.go.set()

    assert provider.ledger.records() == ()
    assert provider.closed == ["late"]


async def test_cleanup_releases_newest_first(provider: ThingProvider) -> None:
    kept = [await provider.create_thing(name) for name in ("one", "two", "three")]
    await (await provider.create_thing("gone")).release()
    await provider.cleanup()
    assert provider.closed == ["gone", "three", "two", "one"]
    assert [one.is_allocated() for one in kept] == [False] * 3


async def test_cleanup_tries_everything_and_reports_every_failure() -> None:
    provider = ThingProvider()
    await provider.initialize()
    things = [await provider.create_thing(name) for name in ("one", "two", "three")]
    things[0].failures = things[2].failures = 1
    with pytest.raises(ExceptionGroup, match="things could not release 2 of its resources") as caught:
        await provider.cleanup()
    assert [str(error) for error in caught.value.exceptions] == ["three does not want to", "one does not want to"]
    assert provider.closed == ["two"]
    await provider.cleanup()
    assert provider.closed == ["two", "three", "one"]
    assert provider.ledger.records() == ()


async def test_usage_can_be_marked_only_while_it_is_held(provider: ThingProvider) -> None:
    thing = await provider.create_thing("one")
    thing.mark(Usage.BUSY)
    assert thing.status is ResourceStatus.BUSY
    await thing.release()
    with pytest.raises(LeaseStateError, match=r"thing\.plain 'one' is released and cannot be marked available"):
        thing.mark(Usage.AVAILABLE)


async def test_leases_belong_to_the_owner_of_the_context(provider: ThingProvider) -> None:
    token = lease_owner.set("survey")
    try:
        thing = await provider.create_thing("one")
    finally:
        lease_owner.reset(token)
    assert thing.owner == "survey"
    assert provider.ledger.statistics().held_by_owner == {"survey": 1}


async def test_two_providers_can_share_a_ledger() -> None:
    ledger = Ledger()
    providers = [ThingProvider(ledger), ThingProvider(ledger)]
    kept = []
    for provider in providers:
        await provider.initialize()
        kept.append(await provider.create_thing("one"))
    assert ledger.statistics().held == 2
    await providers[0].cleanup()
    assert ledger.statistics().held == 1
    await providers[1].cleanup()
    assert [one.is_allocated() for one in kept] == [False] * 2


async def test_what_nobody_refers_to_any_more_is_given_back(
    provider: ThingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    await provider.create_thing("dropped")
    for _ in range(6):
        await asyncio.sleep(0)
    assert provider.closed == ["dropped"]
    assert provider.ledger.records() == ()
    assert provider.ledger.statistics().abandoned == 1
    assert "lease_abandoned" in caplog.text


async def test_what_was_created_for_a_caller_who_had_gone_is_given_back(provider: ThingProvider) -> None:
    async def acquire() -> None:
        await asyncio.shield(provider.create_thing("undelivered"))

    caller = asyncio.create_task(acquire())
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    for _ in range(4):
        await asyncio.sleep(0)
    assert provider.closed == ["undelivered"]
    assert provider.ledger.records() == ()


def test_kinds_are_described_and_inherited() -> None:
    class MoreProvider(ThingProvider):
        @creates("thing.extra")
        async def create_extra(self, name: str) -> Thing:
            """One more."""
            return Thing(self.closed)

    kinds = {record.kind: record for record in MoreProvider.kinds("mine")}
    assert set(kinds) == {"thing.plain", "thing.patient", "thing.slow", "thing.broken", "thing.extra"}
    assert (kinds["thing.extra"].plugin, kinds["thing.extra"].description) == ("mine", "One more.")
    assert "thing.extra" not in {record.kind for record in ThingProvider.kinds()}


class NamingProvider(ResourceProvider):
    """Notes whether what it makes was given a name, and intends what it disclaims once it is complete."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[bool] = []
        self.intended: list[bool] = []

    @creates("thing.named")
    async def create_named(self, name: str) -> Thing:
        """A thing that knows whether it has a name."""
        self.named.append(self.is_named())
        self.intend(Recovery.UNLINK, f"/nowhere/{self.token()}")
        self.intended.append(self.token() in journalled())
        self.disclaim()
        self.intended.append(self.token() in journalled())
        return Thing([])


def journalled() -> str:
    """What this process' journal says must be undone."""
    journal = Journal.existing()
    entries = parse(journal.content()).entries.values() if journal else ()
    return "".join(target.path for entry in entries for target in entry.targets)


async def test_a_provider_can_tell_a_name_that_was_asked_for_and_disclaim_what_is_complete() -> None:
    provider = NamingProvider()
    await provider.initialize()
    async with await provider.create("thing.named"), await provider.create("thing.named", name="asked"):
        assert provider.named == [False, True]
        assert provider.intended == [True, False] * 2
    await provider.cleanup()


class Stubborn(Resource):
    """Cannot be given back at the first attempt."""

    attempts = 0

    async def _close(self) -> None:
        Stubborn.attempts += 1
        if Stubborn.attempts % 2:
            raise OSError("not yet")


class Stubborns(ResourceProvider):
    @creates("stubborn.x")
    async def create_one(self, name: str) -> Stubborn:
        """Something stubborn."""
        return Stubborn()


def test_of_sixteen_threads_nobody_is_told_that_something_was_given_back_that_was_not() -> None:
    provider = Stubborns()
    asyncio.run(provider.initialize())

    async def give_back(resource: Stubborn) -> str:
        try:
            await resource.release()
        except OSError:
            return "failed"
        return resource._lease.allocation.value

    for _ in range(20):
        resource = asyncio.run(provider.create_one(name="x"))
        with ThreadPoolExecutor(16) as pool:
            outcomes = set(pool.map(lambda one: asyncio.run(give_back(one)), [resource] * 16))
        assert outcomes <= {"failed", "released"}
        if resource._lease.allocation is not Allocation.RELEASED:
            assert outcomes == {"failed"}
            asyncio.run(resource.release())
    assert provider.ledger.statistics().held == 0
