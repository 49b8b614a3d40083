"""Infers from a description in words what a task requires."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import lru_cache

from framework.errors import InvalidRequestError
from plugin_pool.records import CapabilityRequirement, CheckResult, ResourceRequirement, Tier
from plugin_pool.rules import RULES, Tell, checked


class Inferring(ABC):
    """Infers what tasks require that will run in a pool."""

    rules: Callable[[], Iterable[object]] = staticmethod(lambda: RULES)
    """Returns the rules: those of the pool, of the settings and of plugins; asked each time, so they may change."""

    @abstractmethod
    def check_resource_requirements(self, requirements: object) -> CheckResult:
        """Return whether a request could be met now."""

    def infer_resource_requirements(self, description: str) -> list[ResourceRequirement]:
        """Return what a task requires by its description; see the function of that name.

        In a host, the rules of the setting `rules` and those that plugins register count as well.

        Raises:
            InvalidRequestError: The description is no text, or a rule is wrong.
        """
        return infer_resource_requirements(description, pool=self, rules=self.rules())


def infer_resource_requirements(
    description: str, *, pool: Inferring | None = None, rules: Iterable[object] = RULES
) -> list[ResourceRequirement]:
    """Return what a task requires by its description; nothing where no rule applies.

    Several capabilities of one type are required of one entity, unless the pool that is given has none with all of
    them, but has entities for each: then each of an entity of its own. It is a guess by words, which does not
    understand "do not search": a task that states what it needs does better.

    Args:
        description: What the task is to do, in words.
        pool: Where the task will run.
        rules: What to infer from: `Rule` or mappings with the same fields; `(*RULES, Rule(…))` for more.

    Raises:
        InvalidRequestError: The description is no text, or a rule is wrong.
    """
    if not isinstance(description, str):
        raise InvalidRequestError(f"The description is {description!r:.60}; a text is allowed.", "Give a text.")
    text = description.casefold()
    found: dict[str, dict[str, int]] = {}
    for rule in _ready(rules):
        if rule.pattern.search(text):
            levels = found.setdefault(rule.type, {})
            levels[rule.capability] = max(rule.min_level, levels.get(rule.capability, 1))
    return [one for kind, levels in found.items() for one in _required(kind, levels, pool)]


def _ready(rules: Iterable[object]) -> Iterable[Tell]:
    given = tuple(rules)
    return _own() if given == RULES else [one if isinstance(one, Tell) else checked(one) for one in given]


@lru_cache(maxsize=1)
def _own() -> tuple[Tell, ...]:
    return tuple([checked(one) for one in RULES])


def _required(kind: str, levels: dict[str, int], pool: Inferring | None) -> list[ResourceRequirement]:
    needs = tuple([CapabilityRequirement(name, level) for name, level in levels.items()])
    together = ResourceRequirement(kind, needs)
    if len(needs) == 1 or pool is None:
        return [together]
    apart = [ResourceRequirement(kind, (one,)) for one in needs]
    split = _impossible(pool, together) and not _impossible(pool, apart)
    return apart if split else [together]


def _impossible(pool: Inferring, requirements: object) -> bool:
    return pool.check_resource_requirements(requirements).tier is Tier.IMPOSSIBLE
