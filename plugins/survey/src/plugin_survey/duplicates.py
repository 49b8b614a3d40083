"""Groups of files with equal content.

Files are equal when size and SHA-256 are. Names of one inode (hard links) are one file: they make no group on their
own and waste nothing, as in fdupes, jdupes and rdfind by default. Empty files count from `min_size` 0 on only, as in
rdfind and jdupes; fdupes lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from plugin_survey.cataloguing.catalogue import Twin


class DuplicateGroup(NamedTuple):
    """Files of equal content: for each file its names, sorted; files sorted by first name."""

    size: int
    digest: bytes
    files: tuple[tuple[bytes, ...], ...]

    @property
    def wasted(self) -> int:
        """Bytes that would be saved if one file were kept."""
        return self.size * (len(self.files) - 1)


def find_groups(twins: Iterable[Twin]) -> list[DuplicateGroup]:
    """Return the groups among files that come ordered by size, digest and path; the most wasteful group first."""
    groups = []
    for (size, digest), same in groupby(twins, key=lambda twin: twin[:2]):
        names: dict[tuple[int, int], list[bytes]] = {}
        for _, _, path, device, inode in same:
            names.setdefault((device, inode), []).append(path)
        if len(names) > 1:
            groups.append(DuplicateGroup(size, digest, tuple(tuple(paths) for paths in names.values())))
    groups.sort(key=lambda group: (-group.wasted, group.files[0]))
    return groups
