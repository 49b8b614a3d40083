"""Turns a dotted path or an entry point into a plugin object, whatever its module does while it is imported."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

from framework.discovery import discover
from framework.errors import FrameworkError, ManifestError, PluginLoadError, PluginNotFoundError, SettingsError
from framework.manifest import FILE_NAME, Manifest, build, read
from framework.plugins.base import Plugin
from framework.settings import validated


def load_module(path: str, location: str = "") -> ModuleType:
    """Import a module by its dotted path, or from its file when it is not on the import path.

    Raises:
        PluginLoadError: Importing it failed, in whatever way; `__cause__` is the reason.
    """
    try:
        return _import_file(path, location) if location else importlib.import_module(path)
    except (Exception, SystemExit) as error:
        raise PluginLoadError(
            f"Importing {path!r} failed: {described(error)}.", "Repair or disable the plugin.", plugin=path
        ) from error


def plugin_class(module: ModuleType) -> type[Plugin]:
    """Return the one plugin class that a module defines itself; what it imports does not count.

    Raises:
        PluginNotFoundError: It defines none.
        PluginLoadError: It defines several, so that nobody can say which is meant.
    """
    classes = [
        one
        for one in dict.fromkeys(filter(inspect.isclass, vars(module).values()))  # an alias is no second class
        if issubclass(one, Plugin) and one.__module__ == module.__name__ and not inspect.isabstract(one)
    ]
    if not classes:
        raise PluginNotFoundError(
            f"No plugin class found in {module.__name__!r}; expected one subclass of framework.Plugin defined there.",
            plugin=module.__name__,
        )
    if len(classes) > 1:
        names = ", ".join(sorted(one.__qualname__ for one in classes))
        raise PluginLoadError(
            f"{module.__name__!r} defines several plugin classes: {names}; expected one.",
            "Name the one that is meant in an entry point, module:Class.",
            plugin=module.__name__,
        )
    return classes[0]


def instantiate(found: object, manifest: Manifest) -> Plugin:
    """Return a plugin object for what an entry point names: a module, a plugin class, or a plugin object.

    Raises:
        PluginLoadError: It is none of these, its constructor fails, or it declares itself twice or as another plugin.
    """
    if isinstance(found, ModuleType):
        found = plugin_class(found)
    if inspect.isclass(found) and issubclass(found, Plugin):
        found = construct(found)
    if not isinstance(found, Plugin):
        raise PluginLoadError(
            f"The entry point of {manifest.name!r} names {manifest.entry_point}, a {type(found).__name__}; expected a"
            " subclass of framework.Plugin.",
            plugin=manifest.name,
        )
    _declare(found, manifest)
    return found


def construct(cls: type[Plugin]) -> Plugin:
    """Return an instance.

    Raises:
        PluginLoadError: The constructor fails or needs arguments.
    """
    try:
        return cls()
    except (Exception, SystemExit) as error:
        raise PluginLoadError(
            f"Constructing {cls.__module__}.{cls.__qualname__} failed: {described(error)}.",
            "A plugin class is constructed without arguments.",
            plugin=cls.__name__,
        ) from error


def load(manifest: Manifest) -> Plugin:
    """Import and construct what a manifest's entry point names.

    Raises:
        PluginLoadError: Any of this failed.
        PluginNotFoundError: The module defines no plugin class.
    """
    module, _, attribute = manifest.entry_point.partition(":")
    found: Any = load_module(module.strip(), manifest.location)
    for part in filter(None, attribute.strip().split(".")):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise PluginLoadError(
                f"The entry point of {manifest.name!r} names {manifest.entry_point}, but {module!r} has no {part!r}.",
                "Correct the entry point, or disable the plugin.",
                plugin=manifest.name,
            ) from error
    return instantiate(found, manifest)


def load_path(path: str) -> tuple[Plugin, Manifest | None]:
    """Return a plugin of the one plugin class that a module defines, and the manifest of its package if it has one.

    Raises:
        PluginNotFoundError: The module defines no plugin class.
        PluginLoadError: Importing or constructing it failed, or its manifest cannot be used.
    """
    found = plugin_class(load_module(path))
    plugin = construct(found)
    one = _manifest_around(path, found.__qualname__)
    if one is not None:
        _declare(plugin, one)
    return plugin, one


def _manifest_around(path: str, attribute: str) -> Manifest | None:
    """Return the manifest in the outermost regular package around a module that is imported, or None."""
    parts = path.split(".")
    outer = (sys.modules.get(".".join(parts[: length + 1])) for length in range(len(parts)))
    file = next((one.__file__ for one in outer if one is not None and getattr(one, "__file__", None)), None)
    place = os.path.join(os.path.dirname(file or ""), FILE_NAME)
    if file is None or os.path.basename(file) != "__init__.py" or not os.path.exists(place):
        return None
    installed = next((one for one in discover().manifests.values() if one.path == place), None)
    try:
        found = installed or build(read(place), path=place, entry_point="")
    except ManifestError as error:
        raise PluginLoadError(str(error), plugin=path) from error
    return replace(found, entry_point=f"{path}:{attribute}")


def settings_model(manifest: Manifest) -> Any:
    """Import the settings model that a manifest names; None where it names none.

    Raises:
        PluginLoadError: It cannot be imported or is not there.
    """
    if not manifest.settings:
        return None
    if manifest.location:  # the model's package is not on the import path, so it must be there already
        load_module(manifest.entry_point.partition(":")[0], manifest.location)
    return load_object(manifest.settings, manifest.name)


def load_object(path: str, plugin: str) -> Any:
    """Import what `module:object` names in a manifest.

    Raises:
        PluginLoadError: It cannot be imported or is not there.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(load_module(module), attribute)
    except AttributeError as error:
        raise PluginLoadError(
            f"The manifest of {plugin!r} names {path!r}, which is not there; expected module:object.", plugin=plugin
        ) from error


def settings_of(manifest: Manifest | None, section: dict[str, Any], name: str, default: Any = None) -> Any:
    """Return what a plugin gets as its settings: its section, checked by the model that its manifest names.

    An empty section is the default, if there is one, without importing the model.

    Raises:
        SettingsError: The section does not fit the model, or says something to a plugin whose manifest names none.
        PluginError: The model cannot be loaded.
    """
    if default is not None and not section:
        return default
    model = settings_model(manifest) if manifest else None
    if model is not None:
        return validated(section, model, name)
    if manifest is not None and manifest.path and section:
        key = f"plugins.{name}.{min(section)}"
        raise SettingsError(
            f"The configuration has the unknown key {key!r}; plugin {name!r} has no settings.",
            "Remove it.",
            plugin=name,
        )
    return section


def described(error: BaseException) -> str:
    """Return an error in one sentence without a full stop, with its type where the text alone says too little."""
    try:
        text = " ".join(str(error).split()).rstrip(".")
    except Exception:  # noqa: BLE001 - an error that cannot say what it is still has a type
        text = ""
    if isinstance(error, FrameworkError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _import_file(name: str, location: str) -> ModuleType:
    if name in sys.modules:
        other = getattr(sys.modules[name], "__file__", None)
        if other == location:
            return sys.modules[name]
        msg = f"a module {name!r} is imported already, from {other}"
        raise ImportError(msg)
    spec = importlib.util.spec_from_file_location(name, location)
    if spec is None or spec.loader is None:
        msg = f"{location} is not a Python module"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _declare(plugin: Plugin, manifest: Manifest) -> None:
    declared = type(plugin)._metadata  # noqa: SLF001 - the decorator's half of the same declaration
    if manifest.path and declared is not None:
        raise PluginLoadError(
            f"Plugin {manifest.name!r} declares itself twice: in {manifest.path} and by @plugin; allowed: one of them.",
            "Remove the decorator or the file.",
            plugin=manifest.name,
        )
    if manifest.path or (declared is None and type(plugin).metadata is Plugin.metadata):
        plugin._metadata = manifest.metadata()  # type: ignore[misc]  # noqa: SLF001 - set once, on the instance
    try:
        name = plugin.metadata.name
    except Exception as error:
        raise PluginLoadError(
            f"The metadata of {manifest.name!r} cannot be had: {described(error)}.", plugin=manifest.name
        ) from error
    if name != manifest.name:
        raise PluginLoadError(
            f"The plugin installed as {manifest.name!r} calls itself {name!r}; the two must agree.",
            plugin=manifest.name,
        )
