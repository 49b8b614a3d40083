"""The strategies that a pool has by itself; a plugin may register any others under names of their own."""

from __future__ import annotations

from collections.abc import Callable

from framework import AllocationStrategy, ResourceClass
from framework.errors import InvalidRequestError, did_you_mean

Chooser = str | AllocationStrategy | Callable[[], AllocationStrategy]
"""A strategy, the name of a built-in one, or what returns one when it is first needed."""


class FirstFit:
    """Takes from the class that the pool has had longest."""

    name = "first_fit"

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the same for all, so that their order decides."""
        return 0.0


class BestFit:
    """Takes from the class that can do least, and spares those that can do more for tasks that need it.

    The rank is the sum of all levels. As what a task needs is the same for all classes that fit, the least sum is the
    least surplus.
    """

    name = "best_fit"

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the sum of the levels."""
        return float(sum(resource_class.capabilities.values()))


BUILT_IN: dict[str, AllocationStrategy] = {one.name: one for one in (FirstFit(), BestFit())}


def chosen(strategy: Chooser) -> Callable[[], AllocationStrategy]:
    """Return what returns the strategy.

    Raises:
        InvalidRequestError: No built-in strategy has that name.
    """
    if isinstance(strategy, str):
        if strategy not in BUILT_IN:
            raise InvalidRequestError(
                f"There is no strategy {strategy!r:.60}; built in are {', '.join(BUILT_IN)}.",
                did_you_mean(strategy, BUILT_IN) or "Give a strategy object to use any other.",
            )
        found = BUILT_IN[strategy]
        return lambda: found
    if isinstance(strategy, AllocationStrategy) and not isinstance(strategy, type):
        return lambda: strategy
    return strategy
