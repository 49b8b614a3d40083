"""The two strategies that look at nothing but classes.

The plugin `pool` brings the same two, so that it can be used alone; plugins do not import each other.
"""

from __future__ import annotations

from framework import ResourceClass


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
