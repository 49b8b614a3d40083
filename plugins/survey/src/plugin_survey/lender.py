"""`Lender`: gets what a survey works with from the host, and gives it back at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from framework.errors import PluginError
from plugin_survey.crew import Crew
from plugin_survey.survey import Means


class Lender:
    """Acquires for one survey.

    Args:
        framework: The host.
        stack: Gives back, in reverse order, what was acquired.
        owner: Who the leases belong to.
    """

    def __init__(self, framework: Any, stack: AsyncExitStack, owner: str) -> None:
        self._framework = framework
        self._stack = stack
        self._owner = owner

    async def acquire(self, kind: str, **parameters: Any) -> Any:
        """Acquire a resource until the end."""
        return await self._stack.enter_async_context(
            self._framework.acquire(kind, owner=self._owner, **parameters),
        )

    async def service(self, name: str) -> Any:
        """Return a service, None where no plugin provides it."""
        try:
            return await self._framework.service(name)
        except PluginError:
            return None

    async def means(self, threads: Any, workers: int, *, deep: bool) -> Means:
        """Return what a survey works with; what only files that are looked into need is got for them only."""

        async def hire() -> Crew:
            executors = [await self.acquire("executor.process", workers=1) for _ in range(workers)]
            crew = Crew(executors, await self.service("pool"))
            self._stack.callback(crew.close)
            return crew

        return Means(threads, workers, hire, await self.service("memory_manager") if deep else None)
