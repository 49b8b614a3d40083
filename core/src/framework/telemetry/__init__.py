"""Counting, timing and logging: `MetricsManager`, `PluginMonitor`, `get_logger`."""

from framework.telemetry.events import EventLogger, configure_logging, get_logger
from framework.telemetry.metrics import MetricsManager, PluginMonitor
from framework.telemetry.series import Counter, Gauge, Histogram, HistogramSummary

__all__ = [
    "Counter",
    "EventLogger",
    "Gauge",
    "Histogram",
    "HistogramSummary",
    "MetricsManager",
    "PluginMonitor",
    "configure_logging",
    "get_logger",
]
