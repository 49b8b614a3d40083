"""Finds what is installed without importing it: entry points, then manifests, and every fault as a row of its own.

A scanner of our own reads the metadata directories on the import path, because importing `importlib.metadata` alone
costs five times an interpreter start. Where an entry of the path is not a plain directory (a zip file, say),
`importlib_metadata` is asked. Whatever is found on disk, nothing here raises: what cannot be used becomes a fault that
names its distribution. Precedence is that of `importlib_metadata`: the first distribution of a name wins.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from framework import manifest
from framework.errors import FrameworkError
from framework.manifest import Manifest

GROUP = "framework.plugins"
BUNDLE = "resource-framework"
"""The distribution whose requirements are the first-party set."""

MODULE_PREFIX = "plugin_"
_ENTRY = re.compile(r"^(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+))?\s*$")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something installed that cannot be used: the plugin's name as far as it is known, and why."""

    name: str
    distribution: str
    reason: str


@dataclass(slots=True)
class Discovery:
    """What was found."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    bundle: frozenset[str] = frozenset()
    """Normalised names of the distributions in the first-party set."""
    claims: dict[str, list[str]] = field(default_factory=dict)
    """Distributions by the plugin name that they claim."""

    def first_party(self) -> set[str]:
        """Return the names of the plugins that the bundle distribution requires."""
        return {name for name, one in self.manifests.items() if normalised(one.distribution) in self.bundle}


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a scan keeps of one installed distribution that matters here."""

    name: str
    headers: str
    entry_points: bytes


def discover(path: Sequence[str] | None = None, folders: Iterable[str] = ()) -> Discovery:
    """Return every plugin on the import path and in the folders given.

    Args:
        path: The import path to scan; `sys.path` when none is given.
        folders: Folders whose modules named `plugin_*` are plugins.
    """
    path = sys.path if path is None else path
    found = Discovery()
    for distribution in _distributions(path):
        if normalised(distribution.name) == BUNDLE:
            found.bundle = frozenset(_requirements(distribution.headers))
        for name, value in _entries(distribution, found):
            _admit(_examine(name, value, distribution, path, found), found)
    for folder in folders:
        for one in _in_folder(folder, found):
            _admit(one, found)
    return found


def modules_in(folder: str) -> list[tuple[str, str]]:
    """Return name and file of each module or package in a folder whose name starts with `plugin_`, sorted."""
    modules = []
    for entry in os.scandir(folder):
        package = os.path.join(entry.path, "__init__.py")
        if entry.name.startswith(MODULE_PREFIX):
            if entry.name.endswith(".py") and entry.is_file():
                modules.append((entry.name.removesuffix(".py"), entry.path))
            elif os.path.isfile(package):
                modules.append((entry.name, package))
    return sorted(modules)


def normalised(name: str) -> str:
    """Return a distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(path: Sequence[str]) -> Iterator[Distribution]:
    seen: set[str] = set()
    for entry in path:
        place = entry or os.curdir
        scan = _scan_directory(place) if os.path.isdir(place) else _ask_metadata(place)
        for distribution in scan:
            key = normalised(distribution.name)
            if key not in seen:
                seen.add(key)
                yield distribution


def _scan_directory(place: str) -> Iterator[Distribution]:
    try:
        names = os.listdir(place)
    except OSError:
        return  # the import system skips what it cannot list, and so do we
    for name in sorted(names):
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        folder = os.path.join(place, name)
        entries = _content(os.path.join(folder, "entry_points.txt"))
        stem = name.rpartition(".")[0].partition("-")[0]
        if GROUP.encode() in entries or normalised(stem) == BUNDLE:
            headers = _content(os.path.join(folder, "METADATA")) or _content(os.path.join(folder, "PKG-INFO"))
            text = headers.decode("utf-8", "replace").partition("\n\n")[0]
            yield Distribution(_header(text, "Name") or stem, text, entries)


def _ask_metadata(place: str) -> Iterator[Distribution]:
    if not os.path.exists(place):
        return
    import importlib_metadata

    try:
        for one in importlib_metadata.distributions(path=[place]):
            entries = (one.read_text("entry_points.txt") or "").encode()
            headers = (one.read_text("METADATA") or "").partition("\n\n")[0]
            if GROUP.encode() in entries:
                yield Distribution(_header(headers, "Name"), headers, entries)
    except Exception:  # noqa: BLE001 - a broken archive on the path is no reason to stop, and names no plugin
        return


def _content(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _header(headers: str, key: str) -> str:
    prefix = f"{key.lower()}:"
    lines = (line for line in headers.splitlines() if line.lower().startswith(prefix))
    return next(lines, prefix)[len(prefix) :].strip()


def _requirements(headers: str) -> Iterator[str]:
    for line in headers.splitlines():
        key, _, value = line.partition(":")
        if key.lower() == "requires-dist" and "extra ==" not in value:
            yield normalised(re.split(r"[\s;<>=!~\[(]", value.strip(), maxsplit=1)[0])


def _entries(distribution: Distribution, found: Discovery) -> Iterator[tuple[str, str]]:
    try:
        lines = distribution.entry_points.decode().splitlines()
    except UnicodeDecodeError:
        found.faults.append(Fault("?", distribution.name, f"entry_points.txt of {distribution.name} is not UTF-8."))
        return
    section = ""
    for line in (line.strip() for line in lines):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == GROUP and line and not line.startswith(("#", ";")):
            name, equals, value = (part.strip() for part in line.partition("="))
            if equals and name and value:
                yield name, value
            else:
                reason = (
                    f"entry_points.txt of {distribution.name} has the line {line!r}; allowed: name = module:object."
                )
                found.faults.append(Fault(name or "?", distribution.name, reason))


def _examine(name: str, value: str, dist: Distribution, path: Sequence[str], found: Discovery) -> Manifest | None:
    match = _ENTRY.match(value)
    if match is None:
        reason = f"The entry point {name} = {value!r} of {dist.name} is malformed; allowed: module:object."
        found.faults.append(Fault(name, dist.name, reason))
        return None
    top, *rest = match["module"].split(".")
    package = _locate(top, path)
    if package is None or not _has_module(package, rest):
        reason = f"The entry point {name} of {dist.name} names the module {match['module']!r}, which is not there."
        found.faults.append(Fault(name, dist.name, reason))
        return None
    return _manifest_of(name, value, package, _installed(dist), found)


def _installed(dist: Distribution) -> dict[str, str]:
    return {
        "distribution": dist.name,
        "version": _header(dist.headers, "Version"),
        "description": _header(dist.headers, "Summary"),
        "author": _header(dist.headers, "Author") or _header(dist.headers, "Author-email"),
    }


def _manifest_of(name: str, value: str, package: str, installed: dict[str, str], found: Discovery) -> Manifest | None:
    file = os.path.join(package, manifest.FILE_NAME)
    if not os.path.isfile(file):
        return Manifest(name=name, entry_point=value, **installed)  # type: ignore[arg-type]  # only text fields
    try:
        one = manifest.build(manifest.read(file), path=file, entry_point=value, **installed)
    except FrameworkError as error:
        found.faults.append(Fault(name, installed["distribution"], str(error)))
        return None
    if one.name != name:
        reason = (
            f"The manifest {file} says name = {one.name!r}, but the entry point is called {name!r}; they must agree."
        )
        found.faults.append(Fault(name, installed["distribution"], reason))
        return None
    return one


def _locate(top: str, path: Sequence[str]) -> str | None:
    """Return the folder of a top-level package, or the file of a module, without importing it."""
    for entry in path:
        for candidate in (os.path.join(entry, top), os.path.join(entry, f"{top}.py")):
            if os.path.isfile(candidate) or os.path.isfile(os.path.join(candidate, "__init__.py")):
                return candidate
    import importlib.util

    try:
        spec = importlib.util.find_spec(top)  # asks the finders of editable installs; top-level, so nothing is imported
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    return next(iter(spec.submodule_search_locations or ()), spec.origin)


def _has_module(package: str, rest: list[str]) -> bool:
    if not rest:
        return True
    base = os.path.join(package, *rest)
    folder, stem = os.path.split(base)
    if os.path.isdir(base):
        return True
    try:
        return any(name.partition(".")[0] == stem and name != stem for name in os.listdir(folder))
    except OSError:
        return False


def _in_folder(folder: str, found: Discovery) -> Iterator[Manifest]:
    try:
        modules = modules_in(folder)
    except OSError as error:
        reason = f"The plugin folder {folder!r} cannot be read: {error.strerror}."
        found.faults.append(Fault("?", "", reason))
        return
    for module, file in modules:
        name = module.removeprefix(MODULE_PREFIX)
        package = os.path.dirname(file) if file.endswith("__init__.py") else file
        one = _manifest_of(name, module, package, {"distribution": folder}, found)
        if one is not None:
            yield replace(one, location=file)


def _admit(one: Manifest | None, found: Discovery) -> None:
    if one is None:
        return
    claimants = found.claims.setdefault(one.name, [])
    claimants.append(one.distribution)
    if len(claimants) == 1:
        found.manifests[one.name] = one
        return
    # neither is taken: whichever was installed last could otherwise pose as the other
    found.manifests.pop(one.name, None)
    reason = (
        f"Two plugins are called {one.name!r}, from {' and '.join(claimants)}; none is used. Uninstall one of them."
    )
    found.faults = [fault for fault in found.faults if fault.name != one.name or not fault.reason.startswith("Two")]
    found.faults.append(Fault(one.name, ", ".join(claimants), reason))
