"""Where the files of an installed plugin are: its package and its distribution's metadata; nothing is imported."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence

from framework.frozen import Frozen

SIZE_LIMIT = 1 << 24
"""Most bytes of a metadata file that are read."""


class Recorded(Frozen):
    """One line of a RECORD: a file below the folder of packages, and its hash, empty where none is recorded."""

    path: str
    algorithm: str
    digest: str
    """In base64 with `-` and `_`, without padding."""


def distributions(path: Sequence[str] | None = None) -> dict[str, str]:
    """Return the metadata folder of each distribution on the import path, by normalised name; the first one wins."""
    found: dict[str, str] = {}
    for entry in sys.path if path is None else path:
        try:
            names = sorted(os.listdir(entry or os.curdir))
        except OSError:
            continue  # an archive, or nothing
        for name in names:
            if name.endswith(".dist-info"):
                stem = name.removesuffix(".dist-info").partition("-")[0]
                found.setdefault(normalised(stem), os.path.join(entry, name))
    return found


def normalised(name: str) -> str:
    """Return a distribution's name as packaging compares it."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def is_editable(metadata: str) -> bool:
    """Return whether a distribution is installed as a link to a source folder."""
    import json

    try:
        content = json.loads(_read(os.path.join(metadata, "direct_url.json")))
        return bool(content["dir_info"]["editable"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def recorded(metadata: str) -> list[Recorded]:
    """Return what a distribution's RECORD lists; nothing where there is none, as with a system's packages."""
    import csv
    import io

    text = _read(os.path.join(metadata, "RECORD")).decode("utf-8", "surrogateescape")
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if len(row) == 3]
    except csv.Error:
        return []
    return [Recorded(path, *digest.partition("=")[::2]) for path, digest, _ in rows]


def package_of(module: str, location: str = "") -> str:
    """Return the folder of the outermost regular package around a module, or the module's file; nothing if unknown.

    Args:
        module: Dotted name; a portion of a namespace package is followed to the first part that is a real package.
        location: The module's file, for one that is not on the import path.
    """
    import importlib.machinery
    import importlib.util

    if location:
        return os.path.dirname(location) if os.path.basename(location) == "__init__.py" else location
    name, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(name)  # of a top-level module, so nothing is imported
    except Exception:  # noqa: BLE001 - finders are other people's code
        return ""
    while spec is not None and spec.submodule_search_locations and spec.origin is None and rest:
        part, _, rest = rest.partition(".")
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations)
    if spec is None or spec.origin is None:
        return ""
    return os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin


def files_below(package: str) -> Iterator[str]:
    """Yield the plain files of a package, without the interpreter's caches, in no order; follow links to folders."""
    if not os.path.isdir(package):
        yield package
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(package, followlinks=True):  # as the interpreter follows them to import
        status = os.stat(place)
        new = (status.st_dev, status.st_ino) not in seen  # else a link leads to a folder around it, or to another's
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if new and name != "__pycache__")
        for name in names if new else ():
            file = os.path.join(place, name)
            if is_plain(file):
                yield file


def is_plain(file: str) -> bool:
    """Return whether a path is a plain file, or a link to one: reading another kind may never end."""
    try:
        return stat.S_ISREG(os.stat(file).st_mode)
    except OSError:
        return False


def _read(file: str) -> bytes:
    if not is_plain(file):
        return b""
    try:
        with open(file, "rb") as stream:
            return stream.read(SIZE_LIMIT)
    except OSError:
        return b""
