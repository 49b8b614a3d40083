"""Checks a plugin's section against its own pydantic model."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from framework.errors import PluginError, SettingsError, did_you_mean

_SECRET = re.compile(r"(?i)passw|secret|token|credential|api_?key")
MASK = "********"


def masked(key: str, value: Any) -> Any:
    """Return a value as it may be shown: what stands under a key that sounds like a secret is hidden."""
    if _SECRET.search(key):
        return MASK
    if isinstance(value, Mapping):
        return {name: masked(str(name), one) for name, one in value.items()}
    return value


def validated(section: Mapping[str, Any], model: Any, name: str) -> Any:
    """Return a plugin's section as an instance of its settings model.

    Raises:
        SettingsError: Naming every key that is wrong, what was found and what is allowed.
        PluginError: The model itself is broken.
    """
    from pydantic import BaseModel, ValidationError

    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginError(f"The settings of plugin {name!r} are {model!r}; expected a pydantic model.", plugin=name)
    try:
        return model.model_validate(dict(section))
    except ValidationError as error:
        faults = [_spelled(fault, name, model) for fault in error.errors()]
        raise SettingsError(" ".join(faults), plugin=name) from error
    except Exception as error:
        text = f"The settings model of plugin {name!r} failed: {type(error).__name__}: {error}."
        raise PluginError(text, "Report this to the plugin's author.", plugin=name) from error


def _spelled(fault: Any, name: str, model: Any) -> str:
    key = ".".join(["plugins", name, *map(str, fault["loc"])])
    fields = _fields(model, fault["loc"][:-1])
    if fault["type"] == "extra_forbidden":
        hint = did_you_mean(str(fault["loc"][-1]), fields)
        allowed = ", ".join(sorted(fields)) or "none"
        return f"The configuration has the unknown key {key!r}; allowed: {allowed}. {hint}".rstrip()
    message = fault["msg"].rstrip(".")
    if fault["type"] == "missing":
        return f"The configuration lacks the key {key!r}: {message}."
    field = fields.get(fault["loc"][-1]) if fault["loc"] else None
    secret = "Secret" in repr(field) or _SECRET.search(key)
    if secret or not isinstance(fault["input"], str | int | float | None):
        return f"The configuration is wrong at {key}: {message}."  # what it says may be, or hold, a secret
    return f"The configuration says {key} = {fault['input']!r}: {message}."


def _fields(model: Any, way: Iterable[Any]) -> Mapping[str, Any]:
    """Return the fields of the model at the end of a way of keys and indexes, or nothing where it is not clear."""
    fields: Mapping[str, Any] = model.model_fields
    for step in way:
        if isinstance(step, str):
            annotation = fields[step].annotation if step in fields else None
            found = [one for one in (annotation, *typing.get_args(annotation)) if hasattr(one, "model_fields")]
            fields = found[0].model_fields if len(found) == 1 else {}
    return fields
