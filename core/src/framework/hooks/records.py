"""What is said of hooks: who specifies and implements them, how often they were called, how long that took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HookRecord:
    """One row of `framework plugins hooks`.

    `implemented_by` holds the active plugins in the order they are called, `specified_by` is empty where nobody active
    specifies the hook, and `deprecated` says until when, and what to use instead.
    """

    name: str
    specified_by: str
    implemented_by: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    asynchronous: bool = False
    firstresult: bool = False
    historic: bool = False
    deprecated: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class HookStatistics:
    """How one plugin's implementation of one hook did, since it was last started.

    Every call is counted; the first ones are timed, then about one in each 5 ms that the hook takes, and at
    least one in 256. `total_s` is what all calls took, in seconds, as far as the timed ones tell; `longest_s` is the
    longest of the timed ones.
    """

    plugin: str
    hook: str
    calls: int
    failures: int
    timed_calls: int
    total_s: float
    longest_s: float
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class HookCall:
    """One implementation's part in one call, as `Hooks.trace` shows it; `error` is empty where it did not fail."""

    hook: str
    plugin: str
    arguments: tuple[str, ...]
    duration_s: float
    error: str = ""
