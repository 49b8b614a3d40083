"""Plugins: the class that authors extend, and the manager that loads, starts, isolates and stops them."""

from framework.plugins.base import Plugin, PluginContextManager, plugin
from framework.plugins.manager import PluginManager

__all__ = ["Plugin", "PluginContextManager", "PluginManager", "plugin"]
