"""The lock: which plugins were trusted, by name, version, distribution and a hash over all their files.

`framework.lock` is JSON, sorted, and the same for the same files wherever they are installed. It covers the import
package, everything else that the distribution's RECORD lists, METADATA and entry_points.txt, in editable installs the
import package and these two. It does not cover the interpreter's own caches (`__pycache__`), scripts, or what the
plugins themselves require.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from framework import installed
from framework.errors import PluginError, SettingsError
from framework.manifest import Manifest

FILE_NAME = "framework.lock"
SCHEMA = 1
SIZE_LIMIT = 1 << 24
_METADATA = ("METADATA", "entry_points.txt")
_REMEDY = "Write it anew with `framework plugins lock`, if you trust what is installed."


@dataclass(frozen=True, slots=True)
class Entry:
    """What the lock says of one plugin."""

    version: str
    distribution: str
    sha256: str


def place(base: str = "") -> str:
    """Return where the lock is: beside the configuration file, or in the working directory when there is none."""
    return os.path.join(base or os.getcwd(), FILE_NAME)


def entries(manifests: Iterable[Manifest]) -> dict[str, Entry]:
    """Return what the lock should say of these plugins, by name, sorted.

    Raises:
        PluginError: Files of a plugin cannot be found or read.
    """
    folders = installed.distributions()
    found = sorted(manifests, key=lambda one: one.name)
    return {one.name: Entry(one.version, one.distribution, _digest(one, folders)) for one in found}


def write(content: Mapping[str, Entry], path: str) -> None:
    """Write the lock, replacing the former one in one step.

    Raises:
        SettingsError: It cannot be written.
    """
    import json  # here and below: nobody pays for it who locks nothing

    data = {"schema": SCHEMA, "plugins": {name: asdict(one) for name, one in sorted(content.items())}}
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(json.dumps(data, indent=2) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise SettingsError(
            f"The lock {path} cannot be written: {error.strerror}.", "Put the configuration where you may write."
        ) from error


def read(path: str) -> dict[str, Entry]:
    """Return what the lock says, by plugin.

    Raises:
        SettingsError: It is not there, cannot be read, or is no lock.
    """
    import json

    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            raw = file.read(SIZE_LIMIT)
    except OSError as error:
        raise SettingsError(f"The lock {path} cannot be read: {error.strerror}.", _REMEDY) from error
    try:
        content = json.loads(raw)
        if content["schema"] != SCHEMA:
            raise SettingsError(
                f"The lock {path} has schema {content['schema']!r}; this framework reads {SCHEMA}.", _REMEDY
            )
        return {str(name): Entry(**values) for name, values in content["plugins"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingsError(f"The file {path} is no lock, or is damaged.", _REMEDY) from error


def verify(manifests: Iterable[Manifest], path: str) -> dict[str, str]:
    """Return why plugins must not be started, by name: they are not in the lock, or changed since. Nothing is imported.

    Args:
        manifests: The plugins to be started.
        path: The lock.

    Raises:
        SettingsError: There is no lock, or it cannot be read.
    """
    locked = read(path)
    folders = installed.distributions()
    reasons = ((one.name, _objection(one, locked.get(one.name), folders)) for one in manifests)
    return {name: reason for name, reason in reasons if reason}


def _objection(one: Manifest, locked: Entry | None, folders: Mapping[str, str]) -> str:
    if locked is None:
        return f"Plugin {one.name!r} is not in the lock. {_REMEDY}"
    for what in ("distribution", "version"):
        was, now = getattr(locked, what), getattr(one, what)
        if was != now:
            return (
                f"Plugin {one.name!r} changed since it was locked: {what} {was or '-'} became {now or '-'}. {_REMEDY}"
            )
    try:
        same = _digest(one, folders) == locked.sha256
    except PluginError as error:
        return str(error)
    return "" if same else f"Plugin {one.name!r} changed since it was locked: its files are others. {_REMEDY}"


def _digest(one: Manifest, folders: Mapping[str, str]) -> str:
    """Return the hash over the names and the contents of all files of a plugin.

    Raises:
        PluginError: They cannot be found or read.
    """
    import hashlib

    package = installed.package_of(one.entry_point.partition(":")[0].strip(), one.location)
    metadata = folders.get(installed.normalised(one.distribution), "")
    if not os.path.exists(package):
        raise PluginError(
            f"Plugin {one.name!r} cannot be locked: its package is not in plain files.",
            "Install it unpacked, or leave it out.",
            plugin=one.name,
        )
    whole = hashlib.sha256()
    for label, file in sorted(dict([*_of_package(package), *_of_distribution(metadata)]).items()):
        try:
            with open(file, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise PluginError(
                f"Plugin {one.name!r} cannot be locked: {file} cannot be read: {error.strerror}.", plugin=one.name
            ) from error
        whole.update(f"{digest} {label}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _of_package(package: str) -> Iterator[tuple[str, str]]:
    """Yield name and path of each file, named from the folder that the package is in."""
    outside = os.path.dirname(package)
    for file in installed.files_below(package):
        yield os.path.relpath(file, outside), file


def _of_distribution(metadata: str) -> Iterator[tuple[str, str]]:
    if not metadata:
        return
    for name in _METADATA:
        file = os.path.join(metadata, name)
        if installed.is_plain(file):
            yield f"dist-info/{name}", file
    if installed.is_editable(metadata):
        return  # what else it lists says only where the sources are
    outside = os.path.dirname(metadata)
    for one in installed.recorded(metadata):
        path = os.path.normpath(one.path)
        if path.startswith((os.pardir, os.sep)) or ".dist-info" in path or "__pycache__" in path:
            continue
        file = os.path.join(outside, path)
        if installed.is_plain(file):
            yield path, file
