"""Plays a workload against a pool in simulated time, so that strategies and settings can be compared."""

from plugin_pool.simulation.law import Law
from plugin_pool.simulation.outcome import Outcome, Tally
from plugin_pool.simulation.simulator import simulate
from plugin_pool.simulation.workload import Source, Stream, Workload

__all__ = ["Law", "Outcome", "Source", "Stream", "Tally", "Workload", "simulate"]
