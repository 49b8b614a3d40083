"""The words of a pool: the types that are predefined with their typical capabilities, and the bounds of what is said.

Types and capabilities are open: any text will do. A word that nobody used before but that is much like a known one is
taken as it is, and a warning names the known one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TYPICAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "executor": ("web_search", "file_ops", "code_generation", "shell_exec"),
        "orchestrator": ("planning", "coordination"),
        "reviewer": ("code_review", "quality_check"),
        "tool": ("specific_tool_access",),
        "api": ("external_api_access",),
        "database": ("db_connection",),
    }
)
"""The predefined types, each with the capabilities that its entities typically have."""

INFERRED = ("report_generation", "data_analysis")
"""Capabilities that are known besides: what descriptions of tasks are about."""

LEVELS = range(1, 11)
"""How well something can be done, 10 being best."""

MOST_REQUIREMENTS = 1000
"""Requirements of one request, equal ones counted once."""

MOST_NAMED = 10_000
"""Entities that one requirement may name."""

MOST_WORDS = 1000
"""Capabilities, or labels, of one entity or requirement."""

MOST_UNITS = 1_000_000
"""Entities that one request may ask for."""

MOST_CAPACITY = 1000
"""Tasks that may share one entity."""

LONGEST_NAME = 200
"""Characters of an id, a name, a type, a capability or a label."""
