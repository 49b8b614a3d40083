"""What the plugin says of itself: `State` and `Decision`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was done, or, in a dry run, would be done, and why. Sizes are in bytes."""

    when: float
    """Seconds since 1970."""
    action: str
    """`enter` or `leave` a level, `clean`, `clean_aggressively`, `pause`, `resume`, `demote`, or `nothing`."""
    level: str
    """The level that held."""
    used: int
    limit: int
    need: int = 0
    """What a round had to free."""
    participants: tuple[str, ...] = ()
    """Who was asked, in that order; in a dry run, who would be."""
    claimed: int = 0
    """What they say they freed."""
    freed: int = 0
    """By how much the resident set of this process fell."""
    group_freed: int = 0
    """By how much the use of the control group fell, or the machine's where no group is limited."""
    met: bool = True
    """Whether what was needed came back; false where it did not, or nobody could be asked."""
    reason: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What is watched, and how it is now. Sizes are in bytes."""

    level: str
    used: int
    limit: int
    percent: float
    source: str
    """The directory of the control group that is the tightest, or `machine`."""
    stalled_percent: float
    """Of the last 10 seconds, in which all work waited for memory."""
    warning: str
    """Percent at which the level is entered, and below which it is left."""
    aggressive: str
    critical: str
    watching: bool
    dry_run: bool
    paused: bool
    """Whether acquisitions wait."""
    events: str
    """What reports between two looks: `usage` thresholds (version 1), `stalls` (PSI), or `none`."""
    wait: float
    """Seconds between the last look and the next one."""
    rounds: int
    claimed: int
    freed: int
    demoted: tuple[str, ...]
    fault: str
    """What keeps the plugin from working as configured, or nothing."""
