"""`Defaults`: the settings of a configuration that says nothing, without pydantic, which a start would wait for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Defaults(NamedTuple):
    """What `SystemSettings()` is; a test compares them."""

    disk_path: str = "/"
    alerts: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
