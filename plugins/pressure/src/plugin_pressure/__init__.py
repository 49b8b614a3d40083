"""Watches memory, has it given back before it runs out, and says why."""

from plugin_pressure.records import Decision, State
from plugin_pressure.service import Pressure

__all__ = ["Decision", "Pressure", "State"]
