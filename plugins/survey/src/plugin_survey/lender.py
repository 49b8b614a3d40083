"""`Lender`: gets what a survey works with from the host, and gives it back at the end."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import Any

from framework.errors import PluginError, ResourceLimitError
from plugin_survey.budget import Budget, Confines
from plugin_survey.inspecting.crew import Crew
from plugin_survey.reading.fingerprint import fingerprint_batch
from plugin_survey.survey import Means
from plugin_survey.tree_memory import process_bytes, tree, tree_bytes


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
        self._base = 0

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

    async def means(self, threads: Any, workers: int, budget: Budget, *, deep: bool) -> Means:
        """Return what a survey works with; what only files that are looked into need is got for them only.

        Raises:
            ResourceLimitError: The budget is too small.
        """
        self._base = tree_bytes()
        budget.check(self._base)
        memory = await self.service("memory_manager") if deep else None
        return Means(threads, workers, lambda: self._hire(workers, budget), memory, budget)

    async def _hire(self, most: int, budget: Budget) -> Crew:
        """Return as many workers as the budget has room for, at least one.

        Raises:
            ResourceLimitError: It has room for none.
        """
        pool = await self.service("pool")
        async with AsyncExitStack() as hired:
            executors: list[Any] = []
            confines = None
            while len(executors) < most:
                executor = await hired.enter_async_context(
                    self._framework.acquire("executor.process", owner=self._owner, workers=1)
                )
                # it is measured when it has imported what it works with
                await executor.run(fingerprint_batch, [], frozenset(), 0.0)
                try:
                    confines = self._confines(budget)
                except ResourceLimitError:
                    if not executors:
                        raise
                    await executor.release()
                    break
                executors.append(executor)
            self._stack.push_async_callback(hired.pop_all().aclose)
        crew = Crew(executors, pool, confines, lambda: self._confines(budget))
        self._stack.push_async_callback(crew.dismiss)
        return crew

    def _confines(self, budget: Budget) -> Confines:
        """Return what each of the workers that there are may take.

        Raises:
            ResourceLimitError: The budget is too small for so many.
        """
        own, *workers = map(process_bytes, tree(os.getpid()))
        # some of what is kept for this process it may have taken already
        return budget.confines(max(self._base + budget.reserve, own + budget.reserve // 2), workers)
