"""What a plugin changes in the process that everybody shares: a look before its start, one after, and sentences.

A look costs some 50 µs, imports nothing, and keeps no value of an environment variable longer than it is compared.
Plugins that start at the same time are seen together: what one of them changed is then said of both.
"""

from __future__ import annotations

import builtins
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SIGNALS = tuple(one for one in signal.Signals if one < getattr(signal, "SIGRTMIN", 32))
_OWN_THREADS = ("framework-", "AnyIO worker", "asyncio_")
"""How the names of threads begin that the host and its event loop start on demand."""

_HOOKS = ("excepthook", "displayhook", "unraisablehook", "breakpointhook", "stdin", "stdout", "stderr")
_MANY = 5


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the process at one moment, as far as a plugin is expected to leave it alone."""

    path: tuple[str, ...]
    finders: tuple[Any, ...]
    signals: tuple[Any, ...]
    environment: Mapping[str, str]
    directory: str
    umask: str
    locale: str
    logging: tuple[Any, ...]
    threads: Mapping[int, str]
    builtins: Mapping[str, Any]
    hooks: tuple[Any, ...]
    tracing: tuple[Any, ...]
    policy: object
    limits: tuple[Any, ...]
    warnings: tuple[Any, ...]


def look() -> Look:
    """Return the state of the process now."""
    return Look(
        tuple(sys.path),
        (*sys.meta_path, *sys.path_hooks),
        tuple(map(signal.getsignal, _SIGNALS)),
        dict(os.environ),
        _directory(),
        _umask(),
        _locale(),
        _logging(),
        {thread.ident: thread.name for thread in threading.enumerate() if thread.ident is not None},
        dict(vars(builtins)),
        (*(getattr(sys, name) for name in _HOOKS), threading.excepthook),
        (sys.gettrace(), sys.getprofile()),
        _policy(),
        (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold()),
        tuple(warnings.filters),
    )


def changes(before: Look, after: Look) -> list[str]:
    """Return one sentence for each thing that is another than before."""
    return [sentence for compare in _COMPARISONS for sentence in compare(before, after)]


def _paths(before: Look, after: Look) -> Iterator[str]:
    if before.path == after.path:
        return
    added = [one for one in after.path if one not in before.path]
    removed = [one for one in before.path if one not in after.path]
    if added:
        yield f"It added {_shown(added)} to sys.path."
    if removed:
        yield f"It removed {_shown(removed)} from sys.path."
    if not added and not removed:
        yield "It changed the order of sys.path."


def _finders(before: Look, after: Look) -> Iterator[str]:
    if not _same(before.finders, after.finders):
        yield "It changed how modules are found: sys.meta_path or sys.path_hooks."


def _signals(before: Look, after: Look) -> Iterator[str]:
    for number, old, new in zip(_SIGNALS, before.signals, after.signals, strict=True):
        if old is not new and old != new:
            yield f"It replaced the handler of {number.name}."


def _environment(before: Look, after: Look) -> Iterator[str]:
    old, new = before.environment, after.environment
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if changed:
        yield f"It changed the environment: {_shown(changed)}."


def _scalars(before: Look, after: Look) -> Iterator[str]:
    if before.directory != after.directory:
        yield f"It changed the working directory to {after.directory!r}."
    if before.umask != after.umask:
        yield f"It changed the umask from {before.umask} to {after.umask}."
    if before.locale and before.locale != after.locale:
        yield f"It changed the locale from {before.locale!r} to {after.locale!r}."
    for name, old, new in zip(
        ("recursion limit", "switch interval", "garbage collector (enabled)", "garbage collector (thresholds)"),
        before.limits,
        after.limits,
        strict=True,
    ):
        if old != new:
            yield f"It changed the {name} from {old} to {new}."


def _loggers(before: Look, after: Look) -> Iterator[str]:
    if before.logging[:1] != after.logging[:1]:
        yield f"It changed the level of the root logger from {before.logging[0]} to {after.logging[0]}."
    if not _same(before.logging[1:], after.logging[1:]):
        yield "It changed the handlers of the root logger."


def _threads(before: Look, after: Look) -> Iterator[str]:
    started = [
        name
        for ident, name in after.threads.items()
        if before.threads.get(ident) != name and not name.startswith(_OWN_THREADS)
    ]
    if started:
        yield f"It left {'a thread' if len(started) == 1 else f'{len(started)} threads'} running: {_shown(started)}."


def _builtins(before: Look, after: Look) -> Iterator[str]:
    old, new = before.builtins, after.builtins
    absent = object()
    names = (old.keys() | new.keys()) - {"_"}  # `_` is of the interactive interpreter
    changed = sorted(name for name in names if old.get(name, absent) is not new.get(name, absent))
    if changed:
        yield f"It changed builtins: {_shown(changed)}."


def _hooks(before: Look, after: Look) -> Iterator[str]:
    names = [*(f"sys.{name}" for name in _HOOKS), "threading.excepthook"]
    for name, old, new in zip(names, before.hooks, after.hooks, strict=True):
        if old is not new:
            yield f"It replaced {name}."
    if not _same(before.tracing, after.tracing):
        yield "It set a trace or profile function."
    if before.policy is not None and before.policy is not after.policy:
        yield "It replaced the event loop policy."


def _filters(before: Look, after: Look) -> Iterator[str]:
    if before.warnings != after.warnings:
        yield "It changed the filters of warnings."


_COMPARISONS: tuple[Callable[[Look, Look], Iterable[str]], ...] = (
    _paths,
    _finders,
    _signals,
    _environment,
    _scalars,
    _loggers,
    _threads,
    _builtins,
    _hooks,
    _filters,
)


def _shown(names: list[str]) -> str:
    text = ", ".join(repr(name) for name in names[:_MANY])
    return text if len(names) <= _MANY else f"{text} and {len(names) - _MANY} more"


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return ""


def _umask() -> str:
    """Return the umask as the kernel tells it; asking by setting it would change it for the other threads."""
    try:
        with open("/proc/self/status", "rb") as file:
            return file.read(512).partition(b"Umask:\t")[2][:4].decode()
    except OSError:
        return ""


def _locale() -> str:
    module = sys.modules.get("locale")
    return module.setlocale(module.LC_ALL) if module else ""


def _logging() -> tuple[Any, ...]:
    module = sys.modules.get("logging")
    return (module.root.level, *module.root.handlers) if module else (30,)  # as it is when it is imported


def _policy() -> object:
    """Return the event loop policy where one was made; asking asyncio would make one."""
    module = sys.modules.get("asyncio.events")
    return getattr(module, "_event_loop_policy", None)
