"""Finds what is installed without importing it: entry points, then manifests, and every fault as a row of its own.

A scanner of our own reads the metadata directories on the import path, because importing `importlib.metadata` alone
costs five times an interpreter start. Where an entry of the path is not a plain directory (a zip file, say),
`importlib_metadata` is asked. Whatever is found on disk, nothing here raises: what cannot be used becomes a fault that
names its distribution. Precedence is that of `importlib_metadata`: the first distribution of a name that has metadata.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """Something installed that cannot be used: the plugin's name, or `? source` where it is not known, and why."""

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
        """Return the names of the plugins that the bundle distribution requires, broken ones too."""
        whole = {name for name, one in self.manifests.items() if normalised(one.distribution) in self.bundle}
        broken = {fault.name for fault in self.faults if normalised(fault.distribution) in self.bundle}
        return whole | (broken - self.manifests.keys())  # else a stranger of that name would be enabled by the fault


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
    modules = {}
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = entry.name.removesuffix(".py")
        package = os.path.join(entry.path, "__init__.py")
        if not name.startswith(MODULE_PREFIX) or name == MODULE_PREFIX or not name.isidentifier():
            continue
        if os.path.isfile(package):
            modules[name] = package  # before a module of the same name, as the import system has it
        elif entry.name.endswith(".py") and entry.is_file():
            modules.setdefault(name, entry.path)
    return sorted(modules.items())


def normalised(name: str) -> str:
    """Return a distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one distribution's metadata can be read, by file name."""

    stem: str
    label: str
    read: Callable[[str], bytes]

    @property
    def valid(self) -> bool:
        return bool(self.read("METADATA") or self.read("PKG-INFO"))


def _distributions(path: Sequence[str]) -> Iterator[Distribution]:
    rivals: dict[str, list[_Place]] = {}
    for entry in path:
        folder = entry or os.curdir
        for one in _scan_directory(folder) if os.path.isdir(folder) else _ask_metadata(folder):
            rivals.setdefault(normalised(one.stem) or one.label, []).append(one)
    for places in rivals.values():
        # a name once is the rule, and then nothing needs to be opened to choose
        chosen = places[0] if len(places) == 1 else next((one for one in places if one.valid), places[0])
        entries = chosen.read("entry_points.txt")
        if GROUP.encode() in entries or normalised(chosen.stem) == BUNDLE:
            headers = (chosen.read("METADATA") or chosen.read("PKG-INFO")).decode("utf-8", "replace")
            text = "\n".join(headers.splitlines()).partition("\n\n")[0]
            yield Distribution(_header(text, "Name") or chosen.stem or chosen.label, text, entries)


def _scan_directory(place: str) -> Iterator[_Place]:
    try:
        names = os.listdir(place)
    except OSError:
        return  # the import system skips what it cannot list, and so do we
    for name in sorted(names):
        if name.endswith((".dist-info", ".egg-info")):
            folder = os.path.join(place, name)
            stem = name.rpartition(".")[0].partition("-")[0]
            yield _Place(stem, folder, functools.partial(_content, folder))


def _ask_metadata(place: str) -> Iterator[_Place]:
    if not os.path.exists(place):
        return
    import importlib_metadata

    try:
        found = list(importlib_metadata.distributions(path=[place]))
    except Exception:  # noqa: BLE001 - a broken archive on the path is no reason to stop, and names no plugin
        return
    for number, one in enumerate(found, 1):
        try:
            name = one.name or ""
        except Exception:  # noqa: BLE001 - metadata that cannot be read has no name
            name = ""
        yield _Place(name, f"number {number} in {place}", functools.partial(_archived, one.read_text))


def _archived(read: Callable[[str], str | None], file: str) -> bytes:
    try:
        return (read(file) or "").encode()
    except Exception as error:  # noqa: BLE001 - handed on as it is, so that whoever decodes it reports it
        return error.object if isinstance(error, UnicodeDecodeError) else b""


def _content(folder: str, file: str) -> bytes:
    try:
        with open(os.path.join(folder, file), "rb") as stream:
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


def _nameless(source: str) -> str:
    """Return the name of the row for a fault whose plugin is not known: one row for each source."""
    return f"? {source}"


def _entries(distribution: Distribution, found: Discovery) -> Iterator[tuple[str, str]]:
    try:
        lines = distribution.entry_points.decode().splitlines()
    except UnicodeDecodeError:
        reason = f"entry_points.txt of {distribution.name} is not UTF-8."
        found.faults.append(Fault(_nameless(distribution.name), distribution.name, reason))
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
                found.faults.append(Fault(name or _nameless(distribution.name), distribution.name, reason))


def _examine(name: str, value: str, dist: Distribution, path: Sequence[str], found: Discovery) -> Manifest | None:
    match = _ENTRY.match(value)
    if match is None:
        reason = f"The entry point {name} = {value!r} of {dist.name} is malformed; allowed: module:object."
        found.faults.append(Fault(name, dist.name, reason))
        return None
    package = _locate(match["module"], path) or _ask_finders(match["module"])
    if package is None:
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
    try:
        if os.path.lexists(file):
            content = manifest.read(file)
        elif (raw := _member(package, manifest.FILE_NAME)) is not None:
            content = manifest.parse(raw, file)
        else:
            return Manifest(name=name, entry_point=value, **installed)  # type: ignore[arg-type]  # only text fields
        one = manifest.build(content, path=file, entry_point=value, **installed)
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


def _locate(module: str, path: Sequence[str]) -> str | None:
    """Return the folder of the outermost regular package around a module, or the module's file, importing nothing."""
    top, _, rest = module.partition(".")
    for entry in path:
        base = os.path.join(entry, top)
        if os.path.isfile(os.path.join(base, "__init__.py")):
            return base if _has_module(base, rest) else None
        if os.path.isfile(f"{base}.py"):
            return None if rest else f"{base}.py"
        if rest and os.path.isdir(base) and (found := _locate(rest, [base])):
            return found  # a portion of a namespace package
    return None


def _ask_finders(module: str) -> str | None:
    """Ask the import system itself: archives, extension modules, and the finders of editable installs."""
    import importlib.util

    top, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top-level module, so nothing is imported
    except Exception:  # noqa: BLE001 - finders are other people's code
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    return next((one for one in places if _has_module(one, rest)), None if rest or places else spec.origin)


def _has_module(package: str, rest: str) -> bool:
    if not rest:
        return True
    base = os.path.join(package, *rest.split("."))
    folder, stem = os.path.split(base)
    if os.path.isdir(base):
        return True
    try:
        return any(name.partition(".")[0] == stem and name != stem for name in os.listdir(folder))
    except OSError:
        inside = os.path.relpath(base, package)
        return any(_member(package, f"{inside}{end}") is not None for end in (".py", "/__init__.py"))


def _member(package: str, file: str) -> bytes | None:
    """Return a file of a package that lies in an archive on the path, or None when it is not there."""
    if os.path.exists(package):
        return None
    import pkgutil

    try:
        content: bytes = pkgutil.get_importer(os.path.dirname(package)).get_data(os.path.join(package, file))  # type: ignore[union-attr]  # an importer without it is caught
    except (OSError, AttributeError):
        return None
    return content


def _in_folder(folder: str, found: Discovery) -> Iterator[Manifest]:
    try:
        modules = modules_in(folder)
    except OSError as error:
        reason = f"The plugin folder {folder!r} cannot be read: {error.strerror}."
        found.faults.append(Fault(_nameless(folder), folder, reason))
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
