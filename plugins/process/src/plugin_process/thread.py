"""`ThreadResource`: a function that runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from framework import Resource, Usage
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError

STOP = "stop"
"""The parameter by which a function receives the event that asks it to stop."""


class ThreadResource(Resource):
    """A thread. Nothing can stop a Python thread from outside, so it is asked to, and a release waits for it.

    Its status is `busy` while it runs, `available` once its function returned, and `error` once that raised.

    Args:
        target: What runs. If it has a parameter named `stop`, it gets `cancel_requested` there.
        arguments: Its positional arguments.
        name: Name of the thread.
        subject: What this is, for messages.
        grace: Seconds that a release waits for it.

    Raises:
        InvalidRequestError: The target cannot be called with these arguments.
        ResourceLimitError: The system has no thread left.
    """

    def __init__(self, target: Callable[..., Any], arguments: Sequence[Any], name: str, subject: str, grace: float):
        self.cancel_requested = threading.Event()
        self._subject = subject
        self._grace = grace
        self._stop_by: float | None = None
        self._loop = asyncio.get_running_loop()
        keywords = _keywords(subject, target, arguments, self.cancel_requested)
        self._work = _Work(functools.partial(contextvars.copy_context().run, target, *arguments, **keywords), self)
        # a daemon, so that one which does not stop cannot keep the interpreter from ending
        self._thread = threading.Thread(target=self._work.run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise ResourceLimitError(
                f"{subject} cannot be started: {error}.", "Release threads, or raise the limit (ulimit -u)."
            ) from error
        self._loop.call_soon(self._mark, Usage.BUSY)  # it has no lease yet

    @property
    def running(self) -> bool:
        """Whether the function runs."""
        return not self._work.ended.is_set()

    async def wait(self, timeout: float | None = None) -> Any:
        """Wait until the function is done and return its result, or raise what it raised.

        Args:
            timeout: Seconds to wait; for ever when None.

        Raises:
            ResourceUnavailableError: It still runs.
            ResourceError: It ended by an exception that is not an error, such as SystemExit.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._work.ended.wait()
        except TimeoutError:
            raise ResourceUnavailableError(
                f"{self._subject} still runs after {timeout:g} s.", "Wait longer, or release it.", resource=self.name
            ) from None
        if self._work.error is None:
            return self._work.result
        if isinstance(self._work.error, Exception):
            raise self._work.error
        raise ResourceError(
            f"{self._subject} ended by {type(self._work.error).__name__}.", "Let its function return instead."
        ) from self._work.error

    def request_stop(self) -> None:
        """Set `cancel_requested`, without waiting; the grace period begins."""
        if self._stop_by is None:
            self._stop_by = self._loop.time() + self._grace
        self.cancel_requested.set()

    async def _close(self) -> None:
        self.request_stop()
        try:
            async with asyncio.timeout_at(self._stop_by):
                await self._work.ended.wait()
        except TimeoutError:
            raise ResourceError(
                f"{self._subject} still runs {self._grace:g} s after it was asked to stop, in the thread"
                f" {self._thread.name!r}.",
                f"Give its function a parameter {STOP!r} and let it return when that event is set; then release again.",
                resource=self.name,
            ) from None
        self._thread.join()

    def _take_note_of_end(self) -> None:
        self._mark(Usage.ERROR if self._work.error else Usage.AVAILABLE)

    def _mark(self, usage: Usage) -> None:
        if self.is_allocated() and (usage is not Usage.BUSY or self.running):
            self.mark(usage)


class _Work:
    """What the thread refers to: not the resource, so that one which nobody else refers to is given back."""

    def __init__(self, call: Callable[[], Any], resource: ThreadResource) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = asyncio.Event()
        self._call = call
        self._resource = weakref.ref(resource)
        self._loop = asyncio.get_running_loop()

    def run(self) -> None:
        """Run the function, in the thread."""
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
            self.error = error
        with contextlib.suppress(RuntimeError):  # the loop was closed, so nobody waits any more
            self._loop.call_soon_threadsafe(self._take_note_of_end)

    def _take_note_of_end(self) -> None:
        resource = self._resource()
        if resource is not None:
            resource._take_note_of_end()  # noqa: SLF001 - the two halves of one thing
        self.ended.set()


def _keywords(
    subject: str, target: Callable[..., Any], arguments: Sequence[Any], stop: threading.Event
) -> dict[str, Any]:
    try:
        signature = inspect.signature(target)
    except ValueError:  # some functions written in C do not say
        return {}
    parameter = signature.parameters.get(STOP)
    takes_stop = parameter is not None and parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    keywords = {STOP: stop} if takes_stop else {}
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise InvalidRequestError(
            f"{subject} cannot call {getattr(target, '__qualname__', target)!s}{signature} with {len(arguments)}"
            f" arguments: {error}.",
            f"Pass args that fit; a parameter {STOP!r} is filled in." if takes_stop else "Pass args that fit.",
        ) from error
    return keywords
