"""`Defaults`: the settings of a configuration that says nothing, without pydantic, which a start would wait for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

_NONE: Mapping[str, Any] = MappingProxyType({})


class Defaults(NamedTuple):
    """What `StrategiesSettings()` is; a test compares them."""

    affinity: Mapping[str, Any] = _NONE
    priority: Mapping[str, Any] = _NONE
    resource_based: Mapping[str, Any] = _NONE
    two_choices: Mapping[str, Any] = _NONE
