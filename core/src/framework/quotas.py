"""`Quotas`: how much is held of each kind and by each owner, and what may not be exceeded.

Not thread-safe by itself: the ledger calls it under its lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from framework.errors import ResourceLimitError
from framework.records import Quota

Key = tuple[object, str]


class Tally:
    """How many leases there are, and of how many bytes together."""

    __slots__ = ("bytes", "count", "key")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.count = 0
        self.bytes = 0


class Quotas:
    """Counts leases by kind, by owner and by quota, and refuses one that would exceed a quota."""

    def __init__(self) -> None:
        self._quotas: list[Quota] = []
        self._by_kind: dict[str, tuple[Quota, ...]] = {}
        self._tallies: dict[Key, Tally] = {}

    def add(self, quota: Quota) -> None:
        """Bound what is held from now on; what is held already counts only towards quotas that were there before."""
        self._quotas.append(quota)
        self._by_kind.clear()

    def remove(self, quota: Quota) -> None:
        """Lift a bound; one that is not there is fine."""
        self._quotas = [one for one in self._quotas if one is not quota]
        self._by_kind.clear()

    def enter(self, kind: str, owner: str, size: int) -> Sequence[Tally]:
        """Count one more lease, and return where it is counted, for `leave`.

        Raises:
            ResourceLimitError: A quota would be exceeded; nothing was counted.
        """
        keys: list[Key] = [("kind", kind), ("owner", owner)]
        matching = self._by_kind.get(kind)
        if matching is None:
            matching = self._by_kind[kind] = tuple(self._matching(kind))
        for quota in matching:
            if not quota.owner:
                keys.append((quota, ""))
            elif fnmatchcase(owner, quota.owner):
                keys.append((quota, owner))
            else:
                continue
            self._check(quota, self._tallies.get(keys[-1]), kind, owner, size)
        tallies = self._tallies
        books = []
        for key in keys:
            tally = tallies.get(key)
            if tally is None:
                tally = tallies[key] = Tally(key)
            tally.count += 1
            tally.bytes += size
            books.append(tally)
        return books

    def leave(self, books: Sequence[Tally], size: int) -> None:
        """Count one lease less where `enter` counted it."""
        for tally in books:
            tally.count -= 1
            tally.bytes -= size
            if not tally.count:  # owners come and go, and must not pile up
                del self._tallies[tally.key]

    def totals(self, axis: str) -> dict[str, Tally]:
        """Return the tallies by `kind` or by `owner`."""
        return {name: tally for (what, name), tally in self._tallies.items() if what == axis}

    def _matching(self, kind: str) -> Iterator[Quota]:
        return (one for one in self._quotas if any(fnmatchcase(kind, pattern) for pattern in one.kinds))

    @staticmethod
    def _check(quota: Quota, tally: Tally | None, kind: str, owner: str, size: int) -> None:
        count, held = (tally.count, tally.bytes) if tally else (0, 0)
        by = f"{owner!r}" if quota.owner else "all owners together"
        problem = ""
        if quota.bytes is not None and size and held + size > quota.bytes:
            problem = f"asked for {size} bytes, but of the {quota.bytes} bytes that {_named(quota)} allows, {held}"
        elif quota.count is not None and count + 1 > quota.count:
            problem = f"asked for one more, but of the {quota.count} that {_named(quota)} allows at once, {count}"
        if problem:
            raise ResourceLimitError(
                f"{kind}: owner {owner!r} {problem} are held by {by}.",
                f"Release something, ask for less, or raise {_named(quota)}.",
                resource=kind,
            )


def _named(quota: Quota) -> str:
    return quota.setting or f"the quota on {', '.join(quota.kinds)}"


def from_settings(section: dict[str, dict[str, dict[str, int]]] | None) -> Iterable[Quota]:
    """Return the quotas that the section `quotas` of the configuration sets."""
    for axis, patterns in (section or {}).items():
        for pattern, bounds in patterns.items():
            kinds, owner = ((pattern,), "") if axis == "kinds" else (("*",), pattern)
            yield Quota(kinds, owner, bounds.get("count"), bounds.get("bytes"), f"quotas.{axis}.{pattern}")
