"""`Holdings`: how many bytes one provider has reserved in files, against its cap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from framework.errors import ResourceLimitError


class Holdings:
    """Counts bytes and resources by kind, refuses what would exceed the cap, and reports both as measurements.

    Args:
        kinds: The kinds counted, reported from the start even while nothing is held.
        max_bytes: Most bytes reserved at once over all kinds; no cap when None.
    """

    name = "file"

    def __init__(self, kinds: tuple[str, ...], max_bytes: int | None = None) -> None:
        self.max_bytes = max_bytes
        self._bytes = dict.fromkeys(kinds, 0)
        self._count = dict.fromkeys(kinds, 0)

    @property
    def held_bytes(self) -> int:
        """Bytes held now, over all kinds."""
        return sum(self._bytes.values())

    @contextmanager
    def taking(self, kind: str, size: int) -> Iterator[None]:
        """Count `size` more bytes of a kind; take them off again if the body, which creates them, fails.

        Raises:
            ResourceLimitError: More would be held than the cap allows.
        """
        self._check(kind, size)
        self._bytes[kind] += size
        self._count[kind] += 1
        try:
            yield
        except BaseException:
            self.drop(kind, size)
            raise

    def drop(self, kind: str, size: int) -> None:
        """Take off what was given back."""
        self._bytes[kind] -= size
        self._count[kind] -= 1

    def collect(self) -> Mapping[str, float]:
        """Return `framework_file_<kind>_bytes` and `framework_file_<kind>_resources` for each kind."""
        measured: dict[str, float] = {}
        for kind, held in self._bytes.items():
            noun = kind.rpartition(".")[2]
            measured[f"framework_file_{noun}_bytes"] = held
            measured[f"framework_file_{noun}_resources"] = self._count[kind]
        return measured

    def _check(self, kind: str, size: int) -> None:
        if self.max_bytes is not None and self.held_bytes + size > self.max_bytes:
            raise ResourceLimitError(
                f"{kind} got size {size}, but of the {self.max_bytes} bytes that max_bytes allows {self.held_bytes} are"
                " held already.",
                "Release something, ask for less, or raise plugins.file.max_bytes.",
            )
