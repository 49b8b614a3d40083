"""What the configuration may say about the pool."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from plugin_pool.persistence import Durability
from plugin_pool.records import ReleaseReason


class PoolSettings(BaseModel):
    """Settings of the plugin `pool`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resources: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="The entities that the pool begins with: id, type, and if need be name, capabilities (a level for"
        " each), labels and capacity.",
    )
    strategy: str = Field(
        default="best_fit",
        description="Which of several classes that fit is taken from: first_fit, best_fit, or any that a plugin"
        " registers.",
    )
    error_after: tuple[ReleaseReason, ...] = Field(
        default=(ReleaseReason.FAILED, ReleaseReason.EXPIRED),
        description="Reasons of release after which entities are in error until somebody repairs them.",
    )
    state: str | None = Field(
        default=None,
        description="The directory in which the pool is kept over restarts and crashes; nothing is kept without it.",
    )
    durability: Durability = Field(
        default=Durability.BUFFERED,
        description="What may be lost of a pool that is kept: with none everything unless it is closed, with buffered"
        " nothing when the process dies, with fsync nothing when the machine dies either.",
    )
    grace: float | None = Field(
        default=30.0,
        ge=0,
        description="Seconds after which allocations end that are found in `state` without a time to live, that no"
        " plugin knows, and whose process is dead; null to keep them.",
    )
    patience: float = Field(
        default=2.0,
        ge=0,
        description="Seconds after which a task that waits for several entities is not overtaken any more by those that"
        " came later.",
    )
    aging: float = Field(
        default=10.0, ge=0, description="Seconds of waiting that are worth as much as one step of priority."
    )
