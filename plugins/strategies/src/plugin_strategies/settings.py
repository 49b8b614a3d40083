"""What the configuration may say under `plugins: strategies:`."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

import plugin_strategies
from framework.errors import InvalidRequestError, did_you_mean
from plugin_strategies.plugin import CLASSES


class StrategiesSettings(BaseModel):
    """Settings of the plugin `strategies`: for each strategy that takes arguments, those that are not as usual."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    affinity: dict[str, Any] = Field(
        default={},
        description="Which tasks go with which entities: rules, sticky, anti_affinity, spread, separator, remember.",
    )
    priority: dict[str, Any] = Field(
        default={}, description="Where the priority of a class is found: by, name, values, default."
    )
    resource_based: dict[str, Any] = Field(
        default={}, description="How much each score matters, and what an unknown one is taken for: weights, unscored."
    )
    two_choices: dict[str, Any] = Field(default={}, description="What makes the draws repeatable: seed.")

    @field_validator("*")
    @classmethod
    def _are_arguments(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        strategy = getattr(plugin_strategies, CLASSES[str(info.field_name)])
        known = inspect.signature(strategy).parameters
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                msg = f"There is no {name!r}; allowed are {', '.join(known)}. {hint}".rstrip()
                raise ValueError(msg)
        try:
            strategy(**given)
        except InvalidRequestError as error:
            raise ValueError(str(error)) from error
        return given
