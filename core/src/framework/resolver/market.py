"""Who offers what, and which of the offers meet a requirement."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from framework.frozen import Frozen

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<range>[<>=!~].*)?")
_NOBODY: frozenset[str] = frozenset()


class Candidate(Frozen):
    """What the resolver needs to know of one enabled plugin.

    `requires`, `optional` and `conflicts` name plugins or what plugins provide, each with an optional range of
    versions; `after` and `before` name plugins. A `settled` one runs already: in a conflict only the other yields.
    """

    name: str
    version: str = ""
    provides: Collection[str] = ()
    requires: Collection[str] = ()
    after: Collection[str] = ()
    optional: Collection[str] = ()
    before: Collection[str] = ()
    conflicts: Collection[str] = ()
    settled: bool = False


def parse(requirement: str) -> tuple[str, str]:
    """Return the name and the version range of a requirement; the range may be empty.

    Raises:
        ValueError: It is not a name with an optional version range.
    """
    match = _REQUIREMENT.fullmatch(requirement.strip())
    if match is None:
        msg = f"has the malformed requirement {requirement!r}; allowed: a name with an optional version range"
        raise ValueError(msg)
    return match["name"], (match["range"] or "").strip()


def fault(requirement: str) -> str:
    """Return what is wrong with the form of a requirement, or nothing."""
    try:
        _, versions = parse(requirement)
        if versions:
            _specifiers(versions)
    except ValueError as error:
        return str(error)
    return ""


class Market:
    """The candidates by name, and for each requirement those that meet it.

    Where several do, the plugin that is called like the requirement comes first, then they go by name.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = {one.name: one for one in sorted(candidates, key=lambda one: one.name)}
        self._offers: dict[str, list[str]] = {name: [name] for name in self.candidates}
        for one in self.candidates.values():
            for capability in {*one.provides} - {one.name}:
                self._offers.setdefault(capability, []).append(one.name)
        self._fitting: dict[str, tuple[str, ...]] = {}
        self.enemies = self._find_enemies()

    def offers(self, name: str) -> list[str]:
        """Return the plugins that are called so or provide it, whatever their version."""
        return self._offers.get(name, [])

    def names(self) -> Collection[str]:
        """Return everything that can be required."""
        return self._offers.keys()

    def fitting(self, requirement: str) -> tuple[str, ...]:
        """Return the plugins that fit a requirement; none do when it is malformed."""
        if requirement not in self._fitting:
            self._fitting[requirement] = self._find_fitting(requirement)
        return self._fitting[requirement]

    def others(self, name: str, requirement: str) -> Iterator[str]:
        """Yield the plugins that meet a requirement of a plugin: neither itself, nor what it conflicts with."""
        enemies = self.enemies.get(name, _NOBODY)
        return (one for one in self.fitting(requirement) if one != name and one not in enemies)

    def options(self, name: str, requirement: str) -> tuple[str, ...]:
        """Return the plugins that meet a requirement of a plugin, or itself where no other does but it would.

        A plugin does not meet its own requirement; the answer makes that circle visible.
        """
        found = self.fitting(requirement)
        return tuple(self.others(name, requirement)) or ((name,) if name in found else ())

    def _find_fitting(self, requirement: str) -> tuple[str, ...]:
        try:
            name, versions = parse(requirement)
            return tuple(
                one for one in self.offers(name) if not versions or _fits(self.candidates[one].version, versions)
            )
        except ValueError:
            return ()

    def _find_enemies(self) -> Mapping[str, set[str]]:
        enemies: dict[str, set[str]] = {}
        for one in self.candidates.values():
            for other in {found for text in one.conflicts for found in self.fitting(text)} - {one.name}:
                enemies.setdefault(one.name, set()).add(other)
                enemies.setdefault(other, set()).add(one.name)
        return enemies


@functools.lru_cache(maxsize=4096)
def _fits(version: str, versions: str) -> bool:
    from packaging.version import InvalidVersion

    try:
        return _specifiers(versions).contains(version, prereleases=True)
    except InvalidVersion:
        return False


@functools.lru_cache(maxsize=1024)
def _specifiers(versions: str) -> SpecifierSet:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # only where somebody asks for a range

    try:
        return SpecifierSet(versions)
    except InvalidSpecifier as error:
        msg = f"has the malformed version range {versions!r}: {error}"
        raise ValueError(msg) from error
