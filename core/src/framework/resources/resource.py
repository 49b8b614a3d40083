"""`Resource`: what is lent."""

from __future__ import annotations

import abc
import asyncio
import sys
import time
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, Self

import anyio

from framework.errors import ResourceError
from framework.finishing import finish
from framework.journal import Target
from framework.lease import HELD, QUARANTINED, Lease
from framework.ledger import Ledger
from framework.records import LeaseRecord, Recovery, ResourceStatus, Usage
from framework.requests import check_ttl
from framework.telemetry.tracing import is_collected, span

_releasing: set[asyncio.Task[None]] = set()


class Resource(abc.ABC):
    """One acquired thing. Subclasses give it back in `_close`, which is called once, shielded from cancellation.

    Use it with `async with`, or call `release`; releasing twice is harmless. One that nobody refers to any more, as
    when the caller that awaited it was cancelled, is given back at once.
    """

    release_timeout: ClassVar[float] = 30.0
    """Seconds that `_close` may take before the lease is quarantined."""
    lent_as: ClassVar[Usage] = Usage.AVAILABLE
    """What it is said to be doing when it is lent."""

    _lease: Lease
    _ledger: Ledger
    _lent_on: asyncio.AbstractEventLoop

    @abc.abstractmethod
    def _close(self) -> Awaitable[None] | None:
        """Give back what the resource holds: an `async def`, or a plain `def` where there is nothing to wait for.

        A plain one costs less, and nothing can come between its steps.
        """

    @property
    def name(self) -> str:
        """The name it was asked for by, or the one made up for it."""
        return self._lease.name

    @property
    def kind(self) -> str:
        """Its kind, as in `memory.shared`."""
        return self._lease.kind

    @property
    def owner(self) -> str:
        """Who holds it."""
        return self._lease.owner

    @property
    def size(self) -> int:
        """Its size in bytes, 0 where it has none."""
        return self._lease.size

    @property
    def status(self) -> ResourceStatus:
        """The one word for its state."""
        return self._lease.status

    @property
    def lease(self) -> LeaseRecord:
        """A snapshot of its lease."""
        return self._lease.record()

    def is_allocated(self) -> bool:
        """Return whether it is held: created, and not given back."""
        return self._lease.allocation is HELD

    def mark(self, usage: Usage) -> None:
        """Say what it is doing.

        Raises:
            LeaseStateError: It is not held any more.
        """
        self._ledger.use(self._lease, usage)

    def touch(self) -> None:
        """Say that it was used just now, so that it does not count as idle."""
        self._lease.used_at = time.time()

    def renew(self, ttl: float | None) -> None:
        """Let its lease end `ttl` seconds from now, or never; the host gives back what was not renewed.

        Raises:
            InvalidRequestError: The ttl is not a number of seconds above 0.
            LeaseStateError: It is not held any more.
        """
        if ttl is not None:
            check_ttl(self.kind, ttl)
        self._ledger.renew(self._lease, ttl)

    async def release(self) -> None:
        """Give it back. Of several calls, in whichever threads, one does so; the others wait and share its outcome.

        Raises:
            ResourceError: Giving it back failed or took too long; the lease is then quarantined, stays visible, and
                `release` may be called again.
        """
        lease = self._lease
        while not self._ledger.claim(lease):
            if await self._lease_outcome() or lease.allocation is not QUARANTINED:
                return
            # the release under way failed in just this moment: it is this call that tries again
        if is_collected():
            with span("lease.release", **lease.labels()):
                if (closing := self._lease_closing()) is not None:
                    await finish(self._lease_closed(closing))
        elif (closing := self._lease_closing()) is not None:
            await finish(self._lease_closed(closing))

    def _lease_closing(self) -> Awaitable[None] | None:
        """Begin to give it back; return what is left to await, or None where that was all."""
        try:
            closing = self._close()
        except BaseException as error:
            self._lease_settled(error)
            raise
        if closing is None:
            self._ledger.settle(self._lease, released=True)
        return closing

    async def _lease_closed(self, closing: Awaitable[None]) -> None:
        failure: BaseException | None = None
        try:
            with anyio.move_on_after(self.release_timeout) as budget:
                await closing
            if budget.cancelled_caught:
                raise ResourceError(
                    f"Releasing {self.kind} {self.name!r} took longer than {self.release_timeout:g} s.",
                    "It stays in the ledger as quarantined; call release() again to retry.",
                    resource=self.name,
                )
        except BaseException as error:
            failure = error
            raise
        finally:
            self._lease_settled(failure)

    def _lease_settled(self, failure: BaseException | None) -> None:
        if failure is not None:
            self._lease.find = self._lease_holder  # kept until it is given back, whoever refers to it
        self._ledger.settle(self._lease, released=failure is None, error=failure)

    def _intend(self, verb: Recovery, path: str, *, proof: str = "", volatile: bool = False) -> None:
        """Like `ResourceProvider.intend`, for what is done after the creation."""
        self._ledger.intend(self._lease, Target(verb, path, proof, volatile))

    def _disclaim(self) -> None:
        """Record that nothing is to be undone any more should this process die, though it is still held."""
        self._ledger.disclaim(self._lease)

    def _lease_holder(self) -> Self:
        return self

    def __del__(self) -> None:
        # No lock may be taken here: the collector may run this in the middle of anything.
        lease = getattr(self, "_lease", None)
        if lease is None or lease.allocation is not HELD or lease.borrowed or sys.is_finalizing():
            return
        lease.find = self._lease_holder  # alive again, until it is given back
        try:
            self._lent_on.call_soon_threadsafe(_give_back, self)
        except RuntimeError:  # the loop has ended: what the journal says is undone at the exit, or by the next start
            return

    async def _lease_outcome(self) -> bool:
        """Wait for the release under way, and share its outcome; false if none is."""
        watched = self._ledger.watch(self._lease)
        if watched is None:
            return False
        # shielded: a waiter that is cancelled must not cancel what the others wait for
        failure = await asyncio.shield(asyncio.wrap_future(watched))
        if failure is not None:
            raise failure
        return True

    async def __aenter__(self) -> Self:
        return self

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        return self.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.name!r} {self.status.value}>"


def _give_back(resource: Resource) -> None:
    """Release what nobody refers to any more."""
    if not resource.is_allocated():
        return
    resource._ledger.tell("abandoned", resource._lease)  # noqa: SLF001 - the same module
    task = asyncio.get_running_loop().create_task(resource.release())
    _releasing.add(task)  # a loop keeps only weak references to its tasks
    task.add_done_callback(_given_back)


def _given_back(task: asyncio.Task[None]) -> None:
    _releasing.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain; the ledger has logged it
