"""`LeastConnections`: the entity that the fewest tasks hold."""

from __future__ import annotations

from framework import Bag, ResourceClass
from plugin_strategies.load_bag import LoadBag


class LeastConnections:
    """Takes the entity that the fewest tasks hold, of all classes that fit.

    That matters where entities have a capacity above 1. Among equals the one is taken that has been free longest.
    """

    name = "least_connections"

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the same for all, so that the number of holders decides."""
        return 0.0

    def bag(self, resource_class: ResourceClass) -> Bag:
        """Return a bag with those first that the fewest tasks hold."""
        return LoadBag()
