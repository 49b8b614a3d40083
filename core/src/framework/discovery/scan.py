"""Reads what is installed from the disk, without importing it: entry points, then manifests, and every fault as a row.

A scanner of our own reads the metadata directories on the import path, because importing `importlib.metadata` alone
costs five times an interpreter start. Where an entry of the path is not a plain directory (a zip file, say),
`importlib_metadata` is asked. Whatever is found on disk, nothing here raises: what cannot be used becomes a fault that
names its distribution. Precedence is that of `importlib_metadata`: the first distribution of a name that has metadata.

Everything is noted in a `Trail` before it is looked at, so that an index can tell later whether it would look the same.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence

from framework import manifest
from framework.discovery.fault import Fault
from framework.discovery.stamps import Trail
from framework.errors import FrameworkError
from framework.frozen import Frozen, replace
from framework.installed import normalised
from framework.manifest import Manifest
from framework.manifest_schema import wrong_name

GROUP = "framework.plugins"
BUNDLE = "resource-framework"
"""The distribution whose requirements are the first-party set."""

METADATA_FOLDERS = (".dist-info", ".egg-info")
MODULE_PREFIX = "plugin_"
_ENTRY = re.compile(r"^(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+))?\s*$")

SIZE_LIMIT = 1 << 24
"""Most bytes that are read of a file of a distribution's metadata."""


class Distribution(Frozen):
    """What a scan keeps of one installed distribution that matters here."""

    name: str
    headers: str
    entry_points: bytes


class Place(Frozen):
    """Where one distribution's metadata can be read, by file name; `folder` is empty in an archive."""

    stem: str
    label: str
    folder: str
    read: Callable[[str, Trail], bytes]


Row = Manifest | Fault


class Finding:
    """What the distributions of one name come to: their plugins and faults, and what was looked at."""

    def __init__(self, trail: Trail) -> None:
        self.rows: list[Row] = []
        self.trail = trail
        self.bundle: tuple[str, ...] | None = None
        """What the distribution requires, if it is the bundle."""


def places(entry: str) -> Iterator[Place]:
    """Return the distributions of one entry of the import path, sorted by file name."""
    folder = entry or os.curdir
    return _scan_directory(folder) if os.path.isdir(folder) else _ask_metadata(folder)


def place(folder: str) -> Place:
    """Return the distribution whose metadata folder this is."""
    stem = os.path.basename(folder).rpartition(".")[0].partition("-")[0]
    return Place(stem, folder, folder, functools.partial(_content, folder))


def key_of(folder: str) -> str:
    """Return what distributions of one name have in common, for a metadata folder."""
    one = place(folder)
    return normalised(one.stem) or one.label


def groups(path: Sequence[str]) -> list[list[Place]]:
    """Return the distributions on an import path, those of one name together, in the order of the path."""
    found: dict[str, list[Place]] = {}
    for entry in path:
        for one in places(entry):
            found.setdefault(normalised(one.stem) or one.label, []).append(one)
    return list(found.values())


def examine(rivals: Sequence[Place], path: Sequence[str]) -> Finding:
    """Return what distributions of one name come to, of which the first with metadata counts."""
    trail = Trail()
    for one in rivals:
        if one.folder:
            trail.add(one.folder)
        else:
            trail.lasting = False  # an archive is known by its stamp on the path only
    found = Finding(trail)
    # a name once is the rule, and then nothing needs to be opened to choose
    chosen = rivals[0] if len(rivals) == 1 else next((one for one in rivals if _metadata(one, trail)), rivals[0])
    entries = chosen.read("entry_points.txt", trail)
    if GROUP.encode() not in entries and normalised(chosen.stem) != BUNDLE:
        return found
    headers = "\n".join(_metadata(chosen, trail).decode("utf-8", "replace").splitlines()).partition("\n\n")[0]
    distribution = Distribution(_header(headers, "Name") or chosen.stem or chosen.label, headers, entries)
    if normalised(distribution.name) == BUNDLE:
        found.bundle = tuple(_requirements(headers))
    for name, value in _entries(distribution, found.rows):
        found.rows.append(_examine(name, value, distribution, path, trail))
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
        elif entry.name.endswith(".py") and os.path.isfile(entry.path):  # is_file() raises if links lead in circles
            modules.setdefault(name, entry.path)
    return sorted(modules.items())


def _metadata(place: Place, trail: Trail) -> bytes:
    return place.read("METADATA", trail) or place.read("PKG-INFO", trail)


def _scan_directory(entry: str) -> Iterator[Place]:
    try:
        names = os.listdir(entry)
    except OSError:
        return  # the import system skips what it cannot list, and so do we
    for name in sorted(names):
        if name.endswith(METADATA_FOLDERS):
            yield place(os.path.join(entry, name))


def _ask_metadata(entry: str) -> Iterator[Place]:
    if not os.path.exists(entry):
        return
    import importlib_metadata

    try:
        found = list(importlib_metadata.distributions(path=[entry]))
    except Exception:  # noqa: BLE001 - a broken archive on the path is no reason to stop, and names no plugin
        return
    for number, one in enumerate(found, 1):
        try:
            name = one.name or ""
        except Exception:  # noqa: BLE001 - metadata that cannot be read has no name
            name = ""
        yield Place(name, f"number {number} in {entry}", "", functools.partial(_archived, one.read_text))


def _archived(read: Callable[[str], str | None], file: str, _trail: Trail) -> bytes:
    try:
        return (read(file) or "").encode()
    except Exception as error:  # noqa: BLE001 - handed on as it is, so that whoever decodes it reports it
        return error.object if isinstance(error, UnicodeDecodeError) else b""


def _content(folder: str, file: str, trail: Trail) -> bytes:
    try:
        with open(trail.add(os.path.join(folder, file)), "rb", opener=manifest.without_waiting) as stream:
            return stream.read(SIZE_LIMIT)
    except (OSError, FrameworkError):
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


def _entries(distribution: Distribution, rows: list[Row]) -> Iterator[tuple[str, str]]:
    try:
        lines = distribution.entry_points.decode().splitlines()
    except UnicodeDecodeError:
        reason = f"entry_points.txt of {distribution.name} is not UTF-8."
        rows.append(Fault(_nameless(distribution.name), distribution.name, reason))
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
                rows.append(Fault(name or _nameless(distribution.name), distribution.name, reason))


def _examine(name: str, value: str, dist: Distribution, path: Sequence[str], trail: Trail) -> Row:
    match = _ENTRY.match(value)
    if match is None:
        reason = f"The entry point {name} = {value!r} of {dist.name} is malformed; allowed: module:object."
        return Fault(name, dist.name, reason)
    package = _locate(match["module"], path, trail)
    if package is None:
        trail.lasting = False  # finders are code, whose answers nothing on disk vouches for
        package = _ask_finders(match["module"])
    else:
        trail.tops.append(_origin(match["module"].partition(".")[0], package, path))
    if package is None:
        reason = f"The entry point {name} of {dist.name} names the module {match['module']!r}, which is not there."
        return Fault(name, dist.name, reason)
    return _manifest_of(name, value, package, _installed(dist), trail)


def _installed(dist: Distribution) -> dict[str, str]:
    return {
        "distribution": dist.name,
        "version": _header(dist.headers, "Version"),
        "description": _header(dist.headers, "Summary"),
        "author": _header(dist.headers, "Author") or _header(dist.headers, "Author-email"),
    }


def _manifest_of(name: str, value: str, package: str, installed: dict[str, str], trail: Trail) -> Row:
    file = os.path.join(package, manifest.FILE_NAME)
    trail.add(package)
    try:
        if os.path.lexists(file):
            content = manifest.read(trail.add(file))
        elif (raw := _member(package, manifest.FILE_NAME)) is not None:
            content = manifest.parse(raw, file)
        elif reason := wrong_name(name):
            return Fault(name, installed["distribution"], reason)
        else:
            return Manifest(name=name, entry_point=value, **installed)  # type: ignore[arg-type]  # only text fields
        one = manifest.build(content, path=file, entry_point=value, **installed)
    except FrameworkError as error:
        return Fault(name, installed["distribution"], str(error))
    if one.name != name:
        reason = (
            f"The manifest {file} says name = {one.name!r}, but the entry point is called {name!r}; they must agree."
        )
        return Fault(name, installed["distribution"], reason)
    return one


def _locate(module: str, path: Sequence[str], trail: Trail) -> str | None:
    """Return the folder of the outermost regular package around a module, or the module's file, importing nothing."""
    top, _, rest = module.partition(".")
    for entry in path:
        base = os.path.join(entry, top)
        if os.path.isdir(base):
            trail.add(base)  # what it lacks now it may get
        if os.path.isfile(os.path.join(base, "__init__.py")):
            return base if _has_module(base, rest, trail) else None
        if os.path.isfile(f"{base}.py"):
            return None if rest else f"{base}.py"
        if rest and os.path.isdir(base) and (found := _locate(rest, [base], trail)):
            return found  # a portion of a namespace package
    return None


def _origin(top: str, package: str, path: Sequence[str]) -> tuple[str, str, str]:
    """Return a top-level module's name, the entry of the path where it is, and its file's name there."""
    entry = next(
        one
        for one in path
        if package.startswith((os.path.join(one, top, ""), os.path.join(one, f"{top}.")))
        or package == os.path.join(one, top)
    )
    return top, entry, os.path.relpath(package, entry).partition(os.sep)[0]


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
    portions = list(spec.submodule_search_locations or ())
    return next((one for one in portions if _has_module(one, rest, Trail())), None if rest or portions else spec.origin)


def _has_module(package: str, rest: str, trail: Trail) -> bool:
    if not rest:
        return True
    base = os.path.join(package, *rest.split("."))
    folder, stem = os.path.split(base)
    trail.add(folder)
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


def in_folder(folder: str) -> list[Row]:
    """Return the plugins among the modules of a folder, and its faults."""
    rows: list[Row] = []
    try:
        modules = modules_in(folder)
    except OSError as error:
        reason = f"The plugin folder {folder!r} cannot be read: {error.strerror}."
        return [Fault(_nameless(folder), folder, reason)]
    for module, file in modules:
        name = module.removeprefix(MODULE_PREFIX)
        package = os.path.dirname(file) if file.endswith("__init__.py") else file
        one = _manifest_of(name, module, package, {"distribution": folder}, Trail())
        rows.append(one if isinstance(one, Fault) else replace(one, location=file))
    return rows
