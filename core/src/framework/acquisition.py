"""`Acquisition`: a resource that was asked for and is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any

from framework.errors import FrameworkError
from framework.resources import Resource


class Acquisition:
    """What `Framework.acquire` returns: await it to get the resource, or enter it with `async with`.

    Entered, it releases the resource on leaving; awaited, that is up to the caller, and to the host when it closes.
    """

    __slots__ = ("_acquire", "_asked", "_resource")

    def __init__(self, acquire: Callable[..., Coroutine[Any, Any, Resource]], *asked: Any) -> None:
        self._acquire = acquire
        self._asked = asked
        self._resource: Resource | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._acquire(*self._asked).__await__()

    async def __aenter__(self) -> Any:
        if self._resource is not None:
            raise FrameworkError("This acquisition was entered already.", "Call acquire() again for another resource.")
        self._resource = await self._acquire(*self._asked)
        return self._resource

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        if self._resource is None:
            raise FrameworkError(
                "This acquisition was not entered.", "Write `async with host.acquire(…) as resource:`."
            )
        return self._resource.__aexit__(kind, error, traceback)  # it may matter to it how the block was left
