"""`Discovery`: what was found; and the same from an index, compared with the disk as far as it is looked at."""

from __future__ import annotations

from collections.abc import Mapping

from framework.discovery.fault import Fault
from framework.discovery.index import CorruptIndexError, Index
from framework.installed import normalised

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from framework.discovery.scan import Row
    from framework.manifest import Manifest


class Discovery:
    """What was found."""

    manifests: Mapping[str, Manifest]
    """The plugins that can be used, by name."""
    faults: list[Fault]
    bundle: frozenset[str]
    """Normalised names of the distributions in the first-party set."""
    claims: dict[str, list[str]]
    """Distributions by the plugin name that they claim."""

    def __init__(
        self,
        manifests: Mapping[str, Manifest] | None = None,
        faults: list[Fault] | None = None,
        bundle: frozenset[str] = frozenset(),
    ) -> None:
        self._usable = dict(manifests or {})
        self.manifests = self._usable
        self.faults = faults or []
        self.bundle = bundle
        self.claims = {one.name: [one.distribution] for one in self.manifests.values()}

    def first_party(self) -> set[str]:
        """Return the names of the plugins that the bundle distribution requires, broken ones too."""
        whole = {name for name, one in self.manifests.items() if normalised(one.distribution) in self.bundle}
        broken = {fault.name for fault in self.faults if normalised(fault.distribution) in self.bundle}
        return whole | (broken - self.manifests.keys())  # else a stranger of that name would be enabled by the fault

    def admit(self, one: Row) -> None:
        """Add a plugin or a fault; where two plugins have one name, both become a fault."""
        if isinstance(one, Fault):
            self.faults.append(one)
            return
        claimants = self.claims.setdefault(one.name, [])
        claimants.append(one.distribution)
        if len(claimants) == 1:
            self._usable[one.name] = one
            return
        # neither is taken: whichever was installed last could otherwise pose as the other
        self._usable.pop(one.name, None)
        reason = (
            f"Two plugins are called {one.name!r}, from {' and '.join(claimants)}; none is used. Uninstall one of them."
        )
        self.faults = [fault for fault in self.faults if fault.name != one.name or not fault.reason.startswith("Two")]
        self.faults.append(Fault(one.name, ", ".join(claimants), reason))


class Remembered(Discovery):
    """What an index says. Looking at one plugin compares its files with the disk, any other question all files."""

    def __init__(self, index: Index, compared: Callable[[Index], Discovery]) -> None:
        self._whole: Discovery | None = None
        self._index = index
        self._compared = compared
        self.manifests = Manifests(index, lambda: self.whole().manifests)

    def whole(self) -> Discovery:
        """Return everything, as it is on the disk."""
        if self._whole is None:
            self._whole = self._compared(self._index)
        return self._whole

    def __getattr__(self, name: str) -> Any:
        if name in {"faults", "bundle", "claims"}:
            return getattr(self.whole(), name)
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg)


class Manifests(Mapping[str, "Manifest"]):
    """The manifests of an index, each read when it is asked for."""

    def __init__(self, index: Index, whole: Callable[[], Mapping[str, Manifest]]) -> None:
        self._index = index
        self._whole = whole
        self._known: dict[str, Manifest] = {}
        self._complete = False

    def __getitem__(self, name: str) -> Manifest:
        if name not in self._known and not self._complete:
            try:
                one = self._index.manifest(name) if name in self._index.names else None
            except CorruptIndexError:
                one = None
            if one is None:  # gone, changed, or never there, which only a look at everything tells
                return self._all()[name]
            self._known[name] = one
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> dict[str, Manifest]:
        if not self._complete:
            self._known = dict(self._whole())
            self._complete = True
        return self._known
