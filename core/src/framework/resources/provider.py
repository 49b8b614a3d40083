"""`ResourceProvider`, who lends; `creates`, which ties a kind to a method that makes one."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import ContextVar
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast

from framework.errors import FrameworkError, ResourceError, UnknownKindError, did_you_mean
from framework.journal import Target
from framework.lease import Lease
from framework.ledger import Ledger
from framework.records import KindRecord, Quota, Recovery
from framework.recovery import at_exit
from framework.requests import Signature
from framework.resources.resource import Resource
from framework.telemetry.tracing import describe, is_collected, span

lease_owner: ContextVar[str] = ContextVar("lease_owner")
"""Who the leases opened in this context belong to; see `current_owner`."""

_creating: ContextVar[Lease] = ContextVar("_creating")

P = ParamSpec("P")
R = TypeVar("R", bound="Resource")
S = TypeVar("S", bound="ResourceProvider")
Factory = Callable[Concatenate[S, P], Coroutine[Any, Any, R]]


def current_owner() -> str:
    """Return the owner set by the host, or the program's name and process id."""
    return lease_owner.get("") or _program(sys.argv[0] if sys.argv else "")


@functools.lru_cache(maxsize=1)
def _program(path: str) -> str:
    return f"{os.path.basename(path) or 'python'}[{os.getpid()}]"


os.register_at_fork(after_in_child=_program.cache_clear)


def creates(kind: str) -> Callable[[Factory[S, P, R]], Factory[S, P, R]]:
    """Declare that an async method of a provider creates resources of a kind.

    The method's parameters are the parameters of a request; `name` and `size` (bytes) mean the same for every kind and
    are checked and entered into the ledger here. The method validates the rest, creates, and returns a `Resource`; when
    it raises, it must have left nothing behind.
    """

    def decorate(method: Factory[S, P, R]) -> Factory[S, P, R]:
        signature = Signature(kind, method)
        has_name = "name" in signature

        @functools.wraps(method)
        async def create(provider: S, *args: P.args, **kwargs: P.kwargs) -> R:
            provider.check_ready()
            arguments = signature.arguments(args, kwargs)
            asked = arguments.get("name") or "", current_owner(), arguments.get("size") or 0
            if not is_collected():
                lease = provider.ledger.open(kind, *asked, provider)
                return await provider._lend(lease, method, arguments, has_name)  # noqa: SLF001 - one thing with it
            name, owner, size = asked
            with span("lease.acquire", kind=kind, resource=name, owner=owner, size=size) as one:
                lease = provider.ledger.open(kind, *asked, provider)
                describe(one, resource=lease.name)
                return await provider._lend(lease, method, arguments, has_name)  # noqa: SLF001

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
        self._quotas: list[Quota] = []
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

    def quotas(self) -> Iterable[Quota]:
        """Return what bounds this provider's kinds by its own settings; in force from `initialize` to `cleanup`."""
        return ()

    async def initialize(self) -> None:
        """Make ready to create; calling it again does nothing."""
        if not self._ready:
            at_exit()
            self._quotas = list(self.quotas())
            for quota in self._quotas:
                self.ledger.bound(quota)
        self._ready = True

    def lent(self) -> list[Resource]:
        """Return what is lent now, oldest first."""
        found = [lease.resource for lease in self.ledger.leases(lender=self)]
        return [one for one in found if one is not None]

    async def reclaim(self, path: str) -> None:
        """Undo what a process that died had intended with `Recovery.PROVIDER`; what is undone already is fine.

        Args:
            path: What it had said with `intend`.

        Raises:
            Exception: It could not be undone; it is tried again later.
        """
        raise ResourceError(f"{self._title()} does not undo what other processes left.", resource=path)

    async def cleanup(self) -> None:
        """Release everything still lent, newest first, and refuse to create until initialized again.

        Raises:
            ExceptionGroup: Some releases failed; all were tried.
        """
        self._ready = False
        failures: list[Exception] = []
        for resource in reversed(self.lent()):
            try:
                await resource.release()
            except Exception as error:  # noqa: BLE001 - every one must be tried; all are reported together
                failures.append(error)
        for quota in self._quotas:
            self.ledger.unbound(quota)
        if failures:
            msg = f"{self._title()} could not release {len(failures)} of its resources"
            raise ExceptionGroup(msg, failures)

    def create(self, kind: str, **parameters: Any) -> Coroutine[Any, Any, Resource]:
        """Create a resource of a kind; to be awaited.

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
        creating: Coroutine[Any, Any, Resource] = getattr(self, attribute)(**parameters)
        return creating

    def check_ready(self) -> None:
        """Raise unless `initialize` was called and `cleanup` was not.

        Raises:
            ResourceError: The provider is not ready.
        """
        if not self._ready:
            raise ResourceError(
                f"{self._title()} is not initialized.", "Await its initialize() first; a host does that for you."
            )

    def token(self) -> str:
        """Return what the names of all that is made for the lease being created must contain; 28 hexadecimal digits.

        To be called by a method marked with `creates`.
        """
        return self.ledger.token(_creating.get())

    def is_named(self) -> bool:
        """Return whether the request said a name; if not, one was made up.

        To be called by a method marked with `creates`, where what has no name is better made without one.
        """
        return _creating.get().named

    def intend(self, verb: Recovery, path: str, *, proof: str = "", volatile: bool = False) -> None:
        """Record on disk what must be undone should this process die, before it is done.

        To be called by a method marked with `creates`; once for each thing that outlives the process.

        Args:
            verb: How it is undone.
            path: The absolute path, without symbolic links, of what will be there; the token of a child's environment
                for `KILL`; anything that `reclaim` understands for `PROVIDER`.
            proof: What shows that a thing at the path is the lease's: `inode:DEVICE:NUMBER`, or `mark:TOKEN` for the
                extended attribute `user.framework.lease`. Without one the last part of the path must contain the token.
            volatile: True for what is gone when the machine starts anew.

        Raises:
            ResourceUnavailableError: It cannot be recorded; nothing must be created then.
        """
        self.ledger.intend(_creating.get(), Target(verb, path, proof, volatile))

    def disclaim(self) -> None:
        """Record on disk that nothing of what was intended is to be undone any more.

        To be called by a method marked with `creates`, once what it made is complete and shall stay; for a resource
        that is lent already there is `Resource._disclaim`.
        """
        self.ledger.disclaim(_creating.get())

    async def _lend(
        self, lease: Lease, method: Callable[..., Awaitable[R]], arguments: dict[str, Any], has_name: bool
    ) -> R:
        if has_name:
            arguments["name"] = lease.name
        token = _creating.set(lease)
        try:
            loop = asyncio.get_running_loop()
            resource = await method(self, **arguments)
            if Resource not in type(resource).__mro__:  # what isinstance comes to, in a tenth of its time
                raise ResourceError(
                    f"{lease.kind} was created as {resource!r}; expected a Resource.",
                    "Report this to the plugin's author.",
                )
        except BaseException as error:
            self.ledger.fail(lease, error)
            if isinstance(error, FrameworkError):
                error.resource = error.resource or lease.name
            raise
        finally:
            _creating.reset(token)
        resource._lease, resource._ledger, lease.usage = lease, self.ledger, resource.lent_as  # noqa: SLF001 - a resource gets its lease here, once
        resource._lent_on = loop  # noqa: SLF001
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
