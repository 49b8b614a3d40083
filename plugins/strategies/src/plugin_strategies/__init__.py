"""Allocation strategies for pools: which of several entities that will do is taken."""

from plugin_strategies.affinity import Affinity
from plugin_strategies.fits import BestFit, FirstFit
from plugin_strategies.least_connections import LeastConnections
from plugin_strategies.priority import Priority
from plugin_strategies.resource_based import ResourceBased
from plugin_strategies.round_robin import RoundRobin
from plugin_strategies.rule import Rule
from plugin_strategies.two_choices import TwoChoices

__all__ = [
    "Affinity",
    "BestFit",
    "FirstFit",
    "LeastConnections",
    "Priority",
    "ResourceBased",
    "RoundRobin",
    "Rule",
    "TwoChoices",
]
