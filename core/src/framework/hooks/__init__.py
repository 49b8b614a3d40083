"""Extension points: a plugin specifies hooks, others implement them, and anybody calls them with `Hooks`."""

from framework.hooks.board import Hooks
from framework.hooks.hook import Hook
from framework.hooks.records import HookCall, HookRecord, HookStatistics
from framework.hooks.registry import KERNEL, HookRegistry

__all__ = ["KERNEL", "Hook", "HookCall", "HookRecord", "HookRegistry", "HookStatistics", "Hooks"]
