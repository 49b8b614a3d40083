"""`Manifest`: what a plugin package says of itself in `plugin.toml`, read without importing the package.

    schema = 1                                  # version of this format
    api = 1                                     # plugin interface it was written for, or a range: ">=1,<3"
    name = "memory"                             # = entry point = section under `plugins:`
    type = "provider"                           # provider, processor, storage or monitor
    requires = ["file", "executor.thread>=0.1"] # plugins or capabilities that must be active first
    optional = ["cache>=2"]                     # the same, but only ordered where they are there and fit
    after = ["survey"]; before = ["report"]     # start later or earlier than these, if they are enabled at all
    conflicts = ["old-memory"]                  # must not be enabled together
    activation = "startup"                      # or "use": imported when something it provides is first asked for
    stability = "stable"                        # experimental, beta, stable or deprecated
    settings = "plugin_memory.settings:Model"   # pydantic model of the plugin's section
    description, version, author                # default to the distribution's

    [provides]                                  # what it contributes, so that nothing is imported to find out
    kinds = ["memory.shared"]; commands = ["survey"]; services = []; strategies = []

    [[permissions]]                             # what it does to the machine, and why
    name = "shared-memory"
    reason = "creates segments in /dev/shm"

`manifest_schema` holds the same as a table, and checks it; unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import os
import stat

from framework import PLUGIN_API
from framework.frozen import Frozen, replace

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from framework.records import PluginMetadata

FILE_NAME = "plugin.toml"
SIZE_LIMIT = 1 << 20
"""Most bytes of a manifest that are read; a larger file is not one."""

_TEXTS = ("name", "type", "activation", "stability", "settings", "description", "version", "author")


class Permission(Frozen):
    """Something a plugin does to the machine, with the reason it gives. Declared, not enforced."""

    name: str
    reason: str


class Manifest(Frozen):
    """One plugin as it is installed. Where a package has no `plugin.toml`, `type` is empty until it is loaded."""

    name: str
    entry_point: str
    type: str = ""
    version: str = ""
    description: str = ""
    author: str = ""
    distribution: str = ""
    api: str = str(PLUGIN_API)
    """Version of the plugin interface that it was written for, or a range of versions."""
    provides: Mapping[str, tuple[str, ...]] = {}
    requires: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    activation: str = "startup"
    stability: str = "stable"
    settings: str = ""
    permissions: tuple[Permission, ...] = ()
    path: str = ""
    """The `plugin.toml`, or empty."""
    location: str = ""
    """File of the module, for plugins found in a folder that is not on the import path."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Everything that others can require, each once, sorted: a command and a service may be called the same."""
        return tuple(sorted({item for items in self.provides.values() for item in items}))

    def metadata(self) -> PluginMetadata:
        """Return the manifest as the metadata of a plugin object; who says no type is a provider."""
        from framework.records import PluginMetadata, PluginType

        return PluginMetadata(
            self.name,
            self.version,
            self.description,
            self.author,
            list(self.requires),
            PluginType(self.type or PluginType.PROVIDER),
            self.entry_point.replace(":", "."),
        )


def read(path: str) -> dict[str, Any]:
    """Return the checked content of a `plugin.toml`.

    Raises:
        ManifestError: It cannot be read, is not UTF-8 or TOML, or does not follow the format.
    """
    try:
        with open(path, "rb", opener=without_waiting) as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        from framework.manifest_schema import fault

        raise fault(path, f"cannot be read: {error.strerror}") from error
    return parse(raw, path)


def parse(raw: bytes, path: str) -> dict[str, Any]:
    """Return the checked content of a `plugin.toml` that was read from `path`.

    Raises:
        ManifestError: It is too large, is not UTF-8 or TOML, or does not follow the format.
    """
    import tomllib  # 15 ms, and the format some more: nothing that an index remembers is read again

    from framework.manifest_schema import check, fault

    if len(raw) > SIZE_LIMIT:
        raise fault(path, f"is larger than {SIZE_LIMIT} bytes", "A manifest holds a few lines; move data elsewhere.")
    try:
        content = tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise fault(path, f"is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}") from error
    except (ValueError, RecursionError) as error:  # more than TOMLDecodeError: giant numbers, endless brackets
        raise fault(path, f"is not TOML: {error}") from error
    check(content, path)
    return content


def build(content: Mapping[str, Any], *, path: str, **installed: str) -> Manifest:
    """Return the manifest for checked content; `installed` fills what the file leaves to the distribution."""
    from framework.manifest_schema import LISTS

    texts = installed | {key: content[key] for key in _TEXTS if key in content}
    lists: dict[str, Any] = {key: tuple(content.get(key, ())) for key in LISTS}
    return replace(
        Manifest(**texts, **lists),
        api=str(content["api"]),
        provides={key: tuple(values) for key, values in content.get("provides", {}).items()},
        permissions=tuple(Permission(one["name"], one["reason"]) for one in content.get("permissions", ())),
        path=path,
    )


def without_waiting(path: str, flags: int) -> int:
    """Open a file for `open`, and nothing that may never end: what lies in a package may be a pipe or a device.

    Raises:
        ManifestError: It is not a regular file.
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # open() itself refuses a directory, in the system's words
        from framework.manifest_schema import fault

        os.close(descriptor)
        raise fault(path, "is not a regular file")
    return descriptor
