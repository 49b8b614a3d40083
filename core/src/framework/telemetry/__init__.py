"""Counting, timing and logging: `MetricsManager`, `PluginMonitor`, `get_logger`."""

from framework.telemetry.events import EventLogger, configure_logging, get_logger
from framework.telemetry.metrics import HistogramSummary, MetricsManager, PluginMonitor

__all__ = ["EventLogger", "HistogramSummary", "MetricsManager", "PluginMonitor", "configure_logging", "get_logger"]
