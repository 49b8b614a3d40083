"""`Quotas`: how much is held of each kind and by each owner, and what may not be exceeded.

Not thread-safe by itself: the ledger calls it under its lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from framework.errors import ResourceLimitError
from framework.records import Quota

KEPT = 64
"""Tallies of owners that are kept whether they count anything or not."""


class Tally:
    """How many leases there are, and of how many bytes together."""

    __slots__ = ("bytes", "count")

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0


class Account(NamedTuple):
    """What the next lease of a kind and an owner must not exceed, and where it is counted."""

    bounds: tuple[tuple[Quota, Tally], ...]
    books: tuple[Tally, ...]


class Quotas:
    """Counts leases by kind, by owner and by quota, and refuses one that would exceed a quota."""

    def __init__(self) -> None:
        self._quotas: list[Quota] = []
        self._accounts: dict[tuple[str, str], Account] = {}
        """By kind and owner; made again after each change of the quotas."""
        self._tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        self._bounded: defaultdict[tuple[Quota, str], Tally] = defaultdict(Tally)
        """By quota, and by the owner that is bounded by itself, or none."""
        self._most = KEPT

    def add(self, quota: Quota) -> None:
        """Bound what is held from now on; what is held already counts only towards quotas that were there before."""
        self._quotas.append(quota)
        self._accounts.clear()

    def remove(self, quota: Quota) -> None:
        """Lift a bound; one that is not there is fine."""
        self._quotas = [one for one in self._quotas if one is not quota]
        self._accounts.clear()

    def enter(self, kind: str, owner: str, size: int) -> Sequence[Tally]:
        """Count one more lease, and return where it is counted, for `leave`.

        Raises:
            ResourceLimitError: A quota would be exceeded; nothing was counted.
        """
        account = self._accounts.get((kind, owner)) or self._account(kind, owner)
        for quota, tally in account.bounds:
            self._check(quota, tally, kind, owner, size)
        for tally in account.books:
            tally.count += 1
            tally.bytes += size
        return account.books

    def leave(self, books: Sequence[Tally], size: int) -> None:
        """Count one lease less where `enter` counted it."""
        for tally in books:
            tally.count -= 1
            tally.bytes -= size

    def totals(self, axis: str) -> dict[str, Tally]:
        """Return the tallies by `kind` or by `owner`."""
        totals: defaultdict[str, Tally] = defaultdict(Tally)
        for (kind, owner), tally in self._tallies.items():
            if tally.count:
                total = totals[kind if axis == "kind" else owner]
                total.count += tally.count
                total.bytes += tally.bytes
        return dict(totals)

    def _account(self, kind: str, owner: str) -> Account:
        if len(self._tallies) + len(self._bounded) > self._most:
            self._drop_empty()
        bounds = tuple(
            (quota, self._bounded[quota, quota.owner and owner])
            for quota in self._quotas
            if any(fnmatchcase(kind, pattern) for pattern in quota.kinds)
            and (not quota.owner or fnmatchcase(owner, quota.owner))
        )
        account = Account(bounds, (self._tallies[kind, owner], *(tally for _, tally in bounds)))
        self._accounts[kind, owner] = account
        return account

    def _drop_empty(self) -> None:
        """Forget the owners that hold nothing any more, which come and go.

        Not at once: who releases soon acquires again, and an account takes longer to make than all the counting.
        """
        self._accounts.clear()  # or one of them would go on counting in what is dropped here
        _drop(self._tallies)
        _drop(self._bounded)
        self._most = 2 * (len(self._tallies) + len(self._bounded)) + KEPT

    @staticmethod
    def _check(quota: Quota, tally: Tally, kind: str, owner: str, size: int) -> None:
        count, held = tally.count, tally.bytes
        problem = ""
        if quota.bytes is not None and size and held + size > quota.bytes:
            problem = f"asked for {size} bytes, but of the {quota.bytes} bytes that {_named(quota)} allows, {held}"
        elif quota.count is not None and count + 1 > quota.count:
            problem = f"asked for one more, but of the {quota.count} that {_named(quota)} allows at once, {count}"
        if problem:
            by = repr(owner) if quota.owner else "all owners together"
            raise ResourceLimitError(
                f"{kind}: owner {owner!r} {problem} are held by {by}.",
                f"Release something, ask for less, or raise {_named(quota)}.",
                resource=kind,
            )


def _drop(tallies: dict[Any, Tally]) -> None:
    for empty in [key for key, tally in tallies.items() if not tally.count]:
        del tallies[empty]


def _named(quota: Quota) -> str:
    return quota.setting or f"the quota on {', '.join(quota.kinds)}"


def from_settings(section: dict[str, dict[str, dict[str, int]]] | None) -> Iterable[Quota]:
    """Return the quotas that the section `quotas` of the configuration sets."""
    for axis, patterns in (section or {}).items():
        for pattern, bounds in patterns.items():
            kinds, owner = ((pattern,), "") if axis == "kinds" else (("*",), pattern)
            yield Quota(kinds, owner, bounds.get("count"), bounds.get("bytes"), f"quotas.{axis}.{pattern}")
