"""Infers from a description in words what a task requires."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from framework.errors import InvalidRequestError
from plugin_pool.pool import ResourcePool
from plugin_pool.records import CapabilityRequirement, ResourceRequirement, Tier


class Rule(NamedTuple):
    """Words that tell of a capability.

    Attributes:
        type: The type of entity that has it.
        capability: The capability.
        words: Beginnings of words, in any languages; where words are not separated, any part of the text.
    """

    type: str
    capability: str
    words: tuple[str, ...]


RULES = (
    Rule(
        "executor",
        "web_search",
        ("search", "look up", "find online", "research", "搜索", "检索", "查找", "suche", "recherch", "busca"),
    ),
    Rule(
        "executor",
        "code_generation",
        ("code", "coding", "program", "implement", "refactor", "debug", "代码", "编程", "编写程序", "código", "codier"),
    ),
    Rule(
        "executor",
        "file_ops",
        (
            "file",
            "folder",
            "directory",
            "directories",
            "文件",
            "目录",
            "datei",
            "ordner",
            "fichier",
            "dossier",
            "archivo",
        ),
    ),
    Rule(
        "executor",
        "report_generation",
        ("report", "summary", "summari", "报告", "总结", "bericht", "zusammenfass", "rapport", "résum", "informe"),
    ),
)
"""Searching, programming, files and reports, in English, Chinese, German, French and Spanish."""


def infer_resource_requirements(
    description: str, *, pool: ResourcePool | None = None, rules: Iterable[Rule] = RULES
) -> list[ResourceRequirement]:
    """Return what a task requires by its description; nothing where no rule applies.

    Several capabilities of one type are required of one entity, unless the pool that is given has none with all of
    them: then each of an entity of its own. It is a guess by words: a task that states what it needs does better.

    Args:
        description: What the task is to do, in words.
        pool: Where the task will run.
        rules: What to infer from; `(*RULES, Rule(…))` for more.

    Raises:
        InvalidRequestError: The description is no text.
    """
    if not isinstance(description, str):
        raise InvalidRequestError(f"The description is {description!r:.60}; a text is allowed.", "Give a text.")
    found: dict[str, dict[str, None]] = {}
    for rule in rules:
        if any(_tells(word.casefold(), description.casefold()) for word in rule.words):
            found.setdefault(rule.type, {})[rule.capability] = None
    return [one for kind, names in found.items() for one in _required(kind, tuple(names), pool)]


def _required(kind: str, names: tuple[str, ...], pool: ResourcePool | None) -> list[ResourceRequirement]:
    together = ResourceRequirement(kind, tuple([CapabilityRequirement(one) for one in names]))
    if len(names) == 1 or pool is None:
        return [together]
    if pool.check_resource_requirements(together).tier is not Tier.IMPOSSIBLE:
        return [together]
    return [ResourceRequirement(kind, (CapabilityRequirement(one),)) for one in names]


def _tells(word: str, text: str) -> bool:
    """Return whether a word of a text begins like this; in scripts that separate no words, whether it occurs."""
    begin = r"\b" if word.isascii() or word[0] < "\u2e80" else ""
    return re.search(begin + re.escape(word), text) is not None
