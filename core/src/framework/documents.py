"""Reads YAML and TOML written by people, and survives whatever they wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.errors import SettingsError

SIZE_LIMIT = 1 << 20
"""Most bytes of a configuration file."""

DEPTH_LIMIT = 50
VALUE_LIMIT = 100_000
"""Most levels and values of one layer; aliases in YAML can multiply a few lines to any size, or contain themselves."""


def read(path: str) -> Mapping[str, Any]:
    """Return the content of a YAML or TOML file, which must be a mapping.

    Raises:
        SettingsError: It is missing, unreadable, not UTF-8, malformed, too large, or not a mapping.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"The configuration {path!r} cannot be read: {reason}.",
            "Correct --config, or leave it out for the defaults.",
        ) from error
    if len(raw) > SIZE_LIMIT:
        raise SettingsError(f"The configuration {path!r} is larger than {SIZE_LIMIT} bytes.", "Name another file.")
    try:
        content = parse(raw.decode(), path)
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The configuration {path!r} is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}.",
            "Save it as UTF-8.",
        ) from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise SettingsError(
            f"The configuration {path!r} holds a {type(content).__name__}; allowed: a mapping such as 'plugins: {{}}'."
        )
    return content


def parse(text: str, path: str) -> Any:
    """Return what the text of a configuration file says, which is TOML where its path says so, else YAML.

    Raises:
        SettingsError: It is malformed or endless.
    """
    if path.endswith(".toml"):
        import tomllib

        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # more than TOMLDecodeError: giant numbers, endless brackets
            raise SettingsError(f"The configuration {path!r} is not TOML: {error}.") from error
    return parse_yaml(text, f"The configuration {path!r}", "Correct the file.")


def parse_yaml(text: str, subject: str, remedy: str) -> Any:
    """Return what a text in YAML says.

    Raises:
        SettingsError: It is malformed or endless; the text itself is not shown.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):  # first, because the loader in C crashes on endless brackets
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_LIMIT:
                raise SettingsError(f"{subject} is nested deeper than {DEPTH_LIMIT} levels.", "Write it out flat.")
        return yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(f"{subject} is not YAML: {error.problem}{where}.", remedy) from error
    except SettingsError:
        raise
    except Exception as error:  # PyYAML's constructors raise KeyError, IndexError and more for bad tags
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(f"{subject} is not YAML: {reason}.", remedy) from error


def refuse_endless(layer: object, source: str) -> None:
    """Refuse what is nested too deeply, has too many values, or contains itself.

    Raises:
        SettingsError: Naming the source and the limit.
    """
    todo = [(layer, 0)]
    count = 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if depth > DEPTH_LIMIT:
            raise SettingsError(
                f"{source} is nested deeper than {DEPTH_LIMIT} levels, or contains itself.", "Write it out flat."
            )
        if count > VALUE_LIMIT:
            raise SettingsError(
                f"{source} has more than {VALUE_LIMIT} values, aliases written out.", "Move data elsewhere."
            )
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        todo += [(one, depth + 1) for one in inner]
