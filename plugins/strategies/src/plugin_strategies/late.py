"""`Late`: a strategy that is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework import AllocationStrategy, ResourceClass


class Late:
    """Stands for a strategy, and makes it when somebody first asks for more than its name.

    A host registers all strategies when it starts, and uses one of them at most.

    Args:
        name: The strategy's name.
        make: Imports and returns it.
    """

    def __init__(self, name: str, make: Callable[[], AllocationStrategy]) -> None:
        self.name = name
        self._make = make

    @cached_property
    def strategy(self) -> AllocationStrategy:
        """The strategy itself."""
        return self._make()

    def rank(self, resource_class: ResourceClass) -> float:
        """Return what the strategy says."""
        return self.strategy.rank(resource_class)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.strategy, name)
