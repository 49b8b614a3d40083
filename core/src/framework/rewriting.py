"""Switches one plugin on or off in a configuration file, and leaves every other line as it is.

A YAML or TOML library would write the whole file anew, without its comments. So the text is edited, and then read
back: unless it says exactly what it said before plus the one change, the file is left alone and the reader told what to
write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from framework import documents
from framework.errors import SettingsError

_PLAIN = re.compile(r"^[A-Za-z_][\w-]*$")


def switch(path: str, name: str, *, enabled: bool, listed: Iterable[str]) -> None:
    """Enable or disable a plugin in a configuration file, which is made if need be.

    Args:
        path: The file, YAML or TOML.
        name: The plugin.
        enabled: Whether it is to be enabled.
        listed: The plugins enabled now; written out where the file has no section `plugins` yet, since from then on the
            section alone decides.

    Raises:
        SettingsError: The file cannot be read, edited safely, or written; it is then as it was.
    """
    with _alone(path):
        _switch(path, name, enabled, listed)


def _switch(path: str, name: str, enabled: bool, listed: Iterable[str]) -> None:
    present = os.path.exists(path)
    before = documents.read(path) if present else {}
    text = ""
    if present:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    section = before.get("plugins")
    if not isinstance(section, Mapping | None) or not isinstance((section or {}).get(name), Mapping | None):
        raise _refusal(path, name, enabled)
    wanted = _expected(before, name, enabled, listed)
    write = _toml if path.endswith(".toml") else _yaml
    edited = write(text, before, wanted, name, enabled)
    _verify(path, edited, wanted, name, enabled)
    _replace(path, edited)


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Let one process at a time edit the files of a folder: of two that read the same text, one would be lost."""
    try:
        descriptor = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # whatever it is, reading and writing will say it better
        yield
        return
    try:
        with contextlib.suppress(OSError):  # some file systems lock nothing
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _expected(before: Mapping[str, Any], name: str, enabled: bool, listed: Iterable[str]) -> dict[str, Any]:
    sections = before.get("plugins")
    if sections is None:
        sections = {one: {} for one in sorted({*listed, name})}
    section = {key: value for key, value in (sections.get(name) or {}).items() if key != "enabled"}
    return {**before, "plugins": {**sections, name: {**section, "enabled": enabled}}}


def _yaml(text: str, before: Mapping[str, Any], wanted: Mapping[str, Any], name: str, enabled: bool) -> str:
    flag = str(enabled).lower()
    if "plugins" not in before:
        lines = [
            f"  {_key(one)}: {{enabled: {flag}}}" if one == name else f"  {_key(one)}: {{}}"
            for one in wanted["plugins"]
        ]
        return _ended(text) + "plugins:\n" + "".join(f"{line}\n" for line in lines)
    lines = text.splitlines(keepends=True)
    head = next((at for at, line in enumerate(lines) if re.match(r"plugins:\s*(#.*)?$", line)), None)
    if head is None:
        return text
    for at in range(head + 1, len(lines)):
        match = re.match(rf"(?P<indent>[ ]+){re.escape(_key(name))}:[ ]*(?P<rest>.*?)\s*$", lines[at])
        if match:
            return _yaml_entry(lines, at, match["indent"], match["rest"], name, flag)
        if lines[at].strip() and not lines[at].startswith((" ", "#")):
            break
    below = (
        re.match(r"[ ]+", line) for line in lines[head + 1 :] if line.strip() and not line.lstrip().startswith("#")
    )
    indent = next((match.group() for match in below if match), "  ")
    lines[head] = _ended(lines[head])
    lines.insert(head + 1, f"{indent}{_key(name)}: {{enabled: {flag}}}\n")
    return "".join(lines)


def _yaml_entry(lines: list[str], at: int, indent: str, rest: str, name: str, flag: str) -> str:
    """Edit the entry of a plugin that has one: a flow mapping on its line, or a block below it."""
    flow = re.fullmatch(r"\{(?P<inner>[^{}]*)\}(?P<tail>\s*#.*)?", rest)
    if flow or not rest or rest in {"null", "~"}:
        block = at + 1 < len(lines) and not flow and re.match(rf"{indent}[ ]+\S", lines[at + 1])
        if block:
            return _yaml_block(lines, at, indent, flag)
        kept = [one.strip() for one in (flow["inner"] if flow else "").split(",") if one.strip()]
        kept = [one for one in kept if not one.startswith("enabled:")] + [f"enabled: {flag}"]
        lines[at] = f"{indent}{_key(name)}: {{{', '.join(kept)}}}{(flow['tail'] or '') if flow else ''}\n"
    return "".join(lines)


def _yaml_block(lines: list[str], at: int, indent: str, flag: str) -> str:
    for below in range(at + 1, len(lines)):
        match = re.match(rf"(?P<deeper>{indent}[ ]+)enabled:\s*\S+(?P<tail>.*)$", lines[below])
        if match:
            lines[below] = f"{match['deeper']}enabled: {flag}{match['tail']}\n"
            return "".join(lines)
        if lines[below].strip() and not lines[below].startswith(f"{indent} "):
            break
    deeper = re.match(rf"{indent}[ ]+", lines[at + 1])
    lines.insert(at + 1, f"{deeper.group() if deeper else indent + '  '}enabled: {flag}\n")
    return "".join(lines)


def _toml(text: str, before: Mapping[str, Any], wanted: Mapping[str, Any], name: str, enabled: bool) -> str:
    flag = str(enabled).lower()
    if "plugins" not in before:
        others = "".join(f"\n[plugins.{_toml_key(one)}]\n" for one in wanted["plugins"] if one != name)
        return f"{_ended(text)}{others}\n[plugins.{_toml_key(name)}]\nenabled = {flag}\n"
    lines = text.splitlines(keepends=True)
    header = f"[plugins.{_toml_key(name)}]"
    for at, line in enumerate(lines):
        if line.split("#")[0].strip() == header:
            for below in range(at + 1, len(lines)):
                if lines[below].lstrip().startswith("["):
                    break
                if re.match(r"\s*enabled\s*=", lines[below]):
                    lines[below] = f"enabled = {flag}\n"
                    return "".join(lines)
            lines[at] = _ended(line)
            lines.insert(at + 1, f"enabled = {flag}\n")
            return "".join(lines)
    return f"{_ended(text)}\n{header}\nenabled = {flag}\n"


def _key(name: str) -> str:
    return (
        name if _PLAIN.match(name) and name not in {"null", "true", "false", "yes", "no", "on", "off"} else f'"{name}"'
    )


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _verify(path: str, edited: str, wanted: Mapping[str, Any], name: str, enabled: bool) -> None:
    try:
        found = documents.parse(edited, path)
    except SettingsError:
        found = None
    if found != wanted:
        raise _refusal(path, name, enabled)


def _refusal(path: str, name: str, enabled: bool) -> SettingsError:
    return SettingsError(
        f"The configuration {path!r} cannot be edited without touching more than the plugin {name!r}.",
        f"Write `enabled: {str(enabled).lower()}` into the section plugins.{name} by hand.",
    )


def _replace(path: str, text: str) -> None:
    real = os.path.realpath(path)
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(real), prefix=".framework-")
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        if os.path.exists(real):
            os.chmod(temporary, os.stat(real).st_mode & 0o7777)
        else:
            os.chmod(temporary, 0o644)
        os.replace(temporary, real)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise SettingsError(
            f"The configuration {path!r} cannot be written: {error.strerror}.", "It is as it was."
        ) from error
