"""Sentences about what is lacking."""

from __future__ import annotations

from collections.abc import Iterable

from plugin_pool.records import ResourceRequirement, Tier

_WHY = {
    Tier.FREE: "it is kept for a task that waits longer",
    Tier.BUSY: "it is in use",
    Tier.ERROR: "what there is needs repair",
    Tier.IMPOSSIBLE: "the pool does not have it",
}
_REMEDY = {
    Tier.FREE: "Wait for it with acquire().",
    Tier.BUSY: "Wait for it with acquire(), or ask again when a task has released it.",
    Tier.ERROR: "Repair what is in error, or what was drained, with repair_resource().",
    Tier.IMPOSSIBLE: "Add such resources, or ask for less.",
}


def shortage(missing: Iterable[ResourceRequirement], tier: Tier, similar: Iterable[str] = ()) -> str:
    """Return a sentence that says what is missing, why, and which words are perhaps misspelt."""
    lacking = ", ".join([str(one) for one in missing])
    hints = "".join([f" {hint[0].upper()}{hint[1:]}" if hint else "" for hint in similar])
    return f"Not enough resources: missing {lacking}; {_WHY[tier]}.{hints}"


def remedy(tier: Tier) -> str:
    """Return a way out."""
    return _REMEDY[tier]


VERDICT = {
    Tier.FREE: "waits",
    Tier.BUSY: "waits",
    Tier.ERROR: "needs somebody to repair something",
    Tier.IMPOSSIBLE: "cannot be met",
}
WHERE = {Tier.FREE: "free", Tier.BUSY: "free", Tier.ERROR: "in service", Tier.IMPOSSIBLE: "in the pool"}
_STATES = {"error": "in error", "released": "drained", "available": "taken by others of the request"}


def state(status: str) -> str:
    """Return the status of an entity as one says it."""
    return _STATES.get(status, status)
