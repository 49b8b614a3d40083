"""`Walker` finds every regular file below some roots, in portions, on byte paths.

Symbolic links are counted and never followed, except a root that is one. A folder is entered once, however many roots
or mounts lead to it. Sockets, pipes and devices are counted and never opened. File systems that hold the system's state
and no files of anybody (`/proc`, `/sys`) are entered only as roots.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from plugin_survey.problem import Problem, problem_from
from plugin_survey.reading.mounts import pseudo_devices

PORTION = 4096
"""A portion ends once it has so many paths, and has fewer than twice as many, even of a folder of a million files."""
FOLDERS_A_PORTION = 64
"""Folders read before a portion ends, so that trees without files do not keep the caller waiting."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class WalkCounts:
    """What the walk met; `files` counts names of regular files, hard links each."""

    files: int = 0
    folders: int = 0
    symlinks: int = 0
    sockets: int = 0
    pipes: int = 0
    devices: int = 0
    excluded: int = 0
    other_file_systems: int = 0


class Walker:
    """Walks roots, which may be folders or files, and hands out the regular files found.

    Args:
        roots: Absolute paths.
        exclude: Shell patterns of what to leave out. One without `/` is compared with names, one with `/` with the
            path below the root; a folder left out is not entered. Roots themselves are never left out.
        one_file_system: Do not enter folders on another file system than their root.
    """

    def __init__(self, roots: Sequence[bytes], *, exclude: Sequence[str] = (), one_file_system: bool = False) -> None:
        self.counts = WalkCounts()
        patterns = [pattern.rstrip("/") for pattern in exclude]
        self._names = _matcher([pattern for pattern in patterns if "/" not in pattern])
        self._paths = _matcher([pattern.lstrip("/") for pattern in patterns if "/" in pattern])
        self._one_file_system = one_file_system
        self._problems: list[Problem] = []
        self._entered: set[int] = set()
        self._pseudo = pseudo_devices()
        self._device: int | None = None
        self._root = b""
        self._portions = self._walk(roots)

    def portion(self) -> list[bytes] | None:
        """Return some more files, possibly none yet, or None when there is nothing left to find."""
        return next(self._portions, None)

    def take_problems(self) -> list[Problem]:
        """Return the problems met since the last call."""
        problems, self._problems = self._problems, []
        return problems

    def _walk(self, roots: Sequence[bytes]) -> Iterator[list[bytes]]:
        files = []
        for root in dict.fromkeys(roots):
            if os.path.isdir(root):
                yield from self._walk_folder(root)
            else:
                files.append(root)
        # after the folders, so that a file inside one of them is not found twice
        for path in dict.fromkeys(map(os.path.realpath, files)):
            yield self._root_file(path)

    def _root_file(self, path: bytes) -> list[bytes]:
        try:
            mode = os.stat(path).st_mode
            if _identity(os.stat(os.path.dirname(path))) in self._entered:
                return []
        except OSError as error:
            self._problems.append(problem_from(path, error))
            return []
        if stat.S_ISREG(mode):
            self.counts.files += 1
            return [path]
        self._count_special(mode)
        return []

    def _walk_folder(self, root: bytes) -> Iterator[list[bytes]]:
        self._device = None
        self._root = root.rstrip(b"/") + b"/"
        waiting, found, read = [root], [], 0
        while waiting:
            folder = waiting.pop()
            for paths in self._read(folder, waiting, 0 if folder is root else os.O_NOFOLLOW):
                found += paths
                if len(found) >= PORTION:
                    yield found
                    found, read = [], 0
            read += 1
            if read == FOLDERS_A_PORTION:
                yield found
                found, read = [], 0
        yield found

    def _read(self, folder: bytes, waiting: list[bytes], flags: int) -> Iterator[list[bytes]]:
        with self._noting(folder, folder=True):
            descriptor = os.open(folder, _OPEN | flags)
            try:
                if self._may_enter(os.fstat(descriptor)):
                    yield from self._scan(descriptor, folder, waiting)
            finally:
                os.close(descriptor)

    @contextmanager
    def _noting(self, path: bytes, *, folder: bool = False) -> Iterator[None]:
        """Note an error of the system as a problem with the path, and go on."""
        try:
            yield
        except OSError as error:
            self._problems.append(problem_from(path, error, folder=folder))

    def _may_enter(self, found: os.stat_result) -> bool:
        if self._device is None:
            self._device = found.st_dev  # the root's
        if found.st_dev != self._device and (self._one_file_system or found.st_dev in self._pseudo):
            self.counts.other_file_systems += 1
            return False
        identity = _identity(found)
        if identity in self._entered:
            return False
        self._entered.add(identity)
        self.counts.folders += 1
        return True

    def _scan(self, descriptor: int, folder: bytes, waiting: list[bytes]) -> Iterator[list[bytes]]:
        prefix = folder if folder.endswith(b"/") else folder + b"/"
        excluding = self._names is not None or self._paths is not None
        files: list[bytes] = []
        # through the descriptor: a folder replaced by a link after it was listed is not followed
        with os.scandir(descriptor) as entries, self._noting(folder, folder=True):
            for entry in entries:
                # a descriptor gives names as text, which os.fsencode turns back into the very bytes
                path = prefix + os.fsencode(entry.name)
                if excluding and self._is_excluded(entry.name, path):
                    self.counts.excluded += 1
                elif entry.is_file(follow_symlinks=False):
                    files.append(path)
                    if len(files) == PORTION:
                        self.counts.files += PORTION
                        yield files
                        files = []
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                else:
                    self._skip(entry, path)
        self.counts.files += len(files)
        yield files

    def _is_excluded(self, name: str, path: bytes) -> bool:
        if self._names is not None and self._names.match(name):
            return True
        return self._paths is not None and bool(self._paths.match(os.fsdecode(path[len(self._root) :])))

    def _skip(self, entry: os.DirEntry[str], path: bytes) -> None:
        if entry.is_symlink():
            self.counts.symlinks += 1
            return
        with self._noting(path):
            self._count_special(entry.stat(follow_symlinks=False).st_mode)

    def _count_special(self, mode: int) -> None:
        if stat.S_ISSOCK(mode):
            self.counts.sockets += 1
        elif stat.S_ISFIFO(mode):
            self.counts.pipes += 1
        else:
            self.counts.devices += 1


def _identity(found: os.stat_result) -> int:
    # one int instead of a tuple: half the memory for each folder
    return found.st_dev << 64 | found.st_ino


def _matcher(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)) if patterns else None
