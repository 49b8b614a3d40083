"""`Resource`, what is lent; `ResourceProvider`, who lends it; `creates`, which ties a kind to a method that makes one.

A provider works alone (`initialize`, `create_…`, `cleanup`) and in a host, which gives it the host's ledger and calls
`create` with the kind. Both ways go through the same wrapper, so every resource there is has a lease.
"""

from __future__ import annotations

import abc
import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar, cast

import anyio

from framework.errors import FrameworkError, ResourceError, UnknownKindError, did_you_mean
from framework.finishing import finish
from framework.ledger import Lease, Ledger
from framework.records import Allocation, KindRecord, LeaseRecord, ResourceStatus, Usage
from framework.requests import Signature

lease_owner: ContextVar[str] = ContextVar("lease_owner")
"""Who the leases opened in this context belong to; see `current_owner`."""

P = ParamSpec("P")
R = TypeVar("R", bound="Resource")
S = TypeVar("S", bound="ResourceProvider")
Factory = Callable[Concatenate[S, P], Coroutine[Any, Any, R]]


def current_owner() -> str:
    """Return the owner set by the host, or the program's name and process id."""
    try:
        return lease_owner.get()
    except LookupError:
        program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
        return f"{program}[{os.getpid()}]"


class Resource(abc.ABC):
    """One acquired thing. Subclasses give it back in `_close`, which is called once, shielded from cancellation.

    Use it with `async with`, or call `release`; releasing twice is harmless.
    """

    release_timeout: ClassVar[float] = 30.0
    """Seconds that `_close` may take before the lease is quarantined."""

    _lease: Lease
    _ledger: Ledger
    _forget: Callable[[int], object]

    @abc.abstractmethod
    async def _close(self) -> None:
        """Give back what the resource holds."""

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
        return self._lease.allocation is Allocation.HELD

    def mark(self, usage: Usage) -> None:
        """Say what it is doing.

        Raises:
            LeaseStateError: It is not held any more.
        """
        self._ledger.use(self._lease, usage)

    async def release(self) -> None:
        """Give it back. Of several calls, in whichever threads, one does so; the others wait and share its outcome.

        Raises:
            ResourceError: Giving it back failed or took too long; the lease is then quarantined, stays visible, and
                `release` may be called again.
        """
        if not self._ledger.claim(self._lease):
            await self._share_outcome()
            return
        await finish(self._release())

    async def _release(self) -> None:
        failure: BaseException | None = None
        try:
            with anyio.move_on_after(self.release_timeout) as budget:
                await self._close()
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
            self._ledger.settle(self._lease, released=failure is None, error=failure)
            if failure is None:
                self._forget(self._lease.id)

    async def _share_outcome(self) -> None:
        watched = self._ledger.watch(self._lease)
        if watched is not None:
            # shielded: a waiter that is cancelled must not cancel what the others wait for
            failure = await asyncio.shield(asyncio.wrap_future(watched))
            if failure is not None:
                raise failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.name!r} {self.status.value}>"


def creates(kind: str) -> Callable[[Factory[S, P, R]], Factory[S, P, R]]:
    """Declare that an async method of a provider creates resources of a kind.

    The method's parameters are the parameters of a request; `name` and `size` (bytes) mean the same for every kind and
    are checked and entered into the ledger here. The method validates the rest, creates, and returns a `Resource`; when
    it raises, it must have left nothing behind.
    """

    def decorate(method: Factory[S, P, R]) -> Factory[S, P, R]:
        signature = Signature(kind, method)

        @functools.wraps(method)
        async def create(provider: S, *args: P.args, **kwargs: P.kwargs) -> R:
            provider.check_ready()
            arguments = signature.arguments(args, kwargs)
            lease = provider.ledger.open(kind, arguments.get("name") or "", current_owner(), arguments.get("size") or 0)
            if "name" in signature:
                arguments["name"] = lease.name
            return await provider._lend(lease, method, arguments)  # noqa: SLF001 - the two halves of one thing

        create.request_signature = signature  # type: ignore[attr-defined]  # a function attribute, read by kinds()
        return cast("Factory[S, P, R]", create)

    return decorate


class ResourceProvider:
    """Creates resources of one or more kinds; subclasses add methods marked with `creates`.

    Args:
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name: ClassVar[str] = ""
    """The provider's name in messages; the class name when empty."""

    _factories: ClassVar[dict[str, tuple[str, Signature]]] = {}

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger()
        self._lent: dict[int, Resource] = {}
        self._ready = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._factories = dict(cls._factories)
        for attribute, method in vars(cls).items():
            signature = getattr(method, "request_signature", None)
            if signature is not None:
                cls._factories[signature.kind] = (attribute, signature)

    @classmethod
    def kinds(cls, plugin: str = "") -> tuple[KindRecord, ...]:
        """Return the kinds that this provider creates, with their parameters."""
        return tuple(
            KindRecord(kind, plugin, signature.summary, signature.parameters)
            for kind, (_, signature) in sorted(cls._factories.items())
        )

    async def initialize(self) -> None:
        """Make ready to create; calling it again does nothing."""
        self._ready = True

    async def cleanup(self) -> None:
        """Release everything still lent, newest first, and refuse to create until initialized again.

        Raises:
            ExceptionGroup: Some releases failed; all were tried.
        """
        self._ready = False
        failures: list[Exception] = []
        for resource in reversed(list(self._lent.values())):
            try:
                await resource.release()
            except Exception as error:  # noqa: BLE001 - every one must be tried; all are reported together
                failures.append(error)
        if failures:
            msg = f"{self._title()} could not release {len(failures)} of its resources"
            raise ExceptionGroup(msg, failures)

    async def create(self, kind: str, **parameters: Any) -> Resource:
        """Create a resource of a kind.

        Raises:
            UnknownKindError: This provider does not create that kind.
            InvalidRequestError: A parameter is unknown, missing or wrong.
            ResourceError: It could not be created.
        """
        try:
            attribute, _ = self._factories[kind]
        except KeyError:
            raise UnknownKindError(
                f"{self._title()} does not create {kind!r}; it creates {', '.join(sorted(self._factories))}.",
                did_you_mean(kind, self._factories),
                resource=kind,
            ) from None
        resource: Resource = await getattr(self, attribute)(**parameters)
        return resource

    def check_ready(self) -> None:
        """Raise unless `initialize` was called and `cleanup` was not.

        Raises:
            ResourceError: The provider is not ready.
        """
        if not self._ready:
            raise ResourceError(
                f"{self._title()} is not initialized.", "Await its initialize() first; a host does that for you."
            )

    async def _lend(self, lease: Lease, method: Callable[..., Awaitable[R]], arguments: dict[str, Any]) -> R:
        try:
            resource = await method(self, **arguments)
            if not isinstance(resource, Resource):
                raise ResourceError(
                    f"{lease.kind} was created as {resource!r}; expected a Resource.",
                    "Report this to the plugin's author.",
                )
        except FrameworkError as error:
            self.ledger.fail(lease)
            error.resource = error.resource or lease.name
            raise
        except BaseException:
            self.ledger.fail(lease)
            raise
        resource._lease, resource._ledger = lease, self.ledger  # noqa: SLF001 - a resource gets its lease here, once
        resource._forget = functools.partial(self._lent.pop, lease.id)  # noqa: SLF001
        self._lent[lease.id] = resource
        self.ledger.hold(lease, resource)
        if not self._ready:
            await resource.release()
            raise ResourceError(
                f"{self._title()} was closed while it created {lease.kind} {lease.name!r}, which is released again.",
                resource=lease.name,
            )
        return resource

    def _title(self) -> str:
        return self.name or type(self).__name__
