"""What the configuration may say about the pool."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from framework.errors import InvalidRequestError
from plugin_pool.keeping.persistence import Durability
from plugin_pool.records import ReleaseReason
from plugin_pool.rules import checked


class PoolSettings(BaseModel):
    """Settings of the plugin `pool`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resources: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="The entities that the pool begins with: id, type, and if need be name, capabilities (a level for"
        " each), labels and capacity.",
    )
    rules: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="Rules for inferring what tasks require from descriptions, besides those of the pool: type,"
        " capability, words (a list, or lists by language), and if need be min_level.",
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
        min_length=1,
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
    warn_after: float | None = Field(
        default=60.0,
        ge=0,
        description="Seconds after which there is a warning about tasks that still wait; null for never. What a person"
        " must repair or add is warned of at once, and so are blocked entities.",
    )
    answer: bool = Field(
        default=True,
        description="Whether other processes of the same user may ask what waits and why, by a socket in the user's"
        " directory of state.",
    )
    aging: float = Field(
        default=10.0, ge=0, description="Seconds of waiting that are worth as much as one step of priority."
    )

    @field_validator("rules")
    @classmethod
    def _usable(cls, given: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for one in given:
            try:
                checked(one)
            except InvalidRequestError as error:
                raise ValueError(str(error)) from None
        return given
