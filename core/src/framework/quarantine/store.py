"""`Quarantine`: the private directory with the markers of starts and the records of those kept out."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from framework import directories
from framework.errors import FrameworkError, ResourceUnavailableError
from framework.frozen import Frozen, as_dict
from framework.quarantine import marker
from framework.quarantine.marker import SIZE_LIMIT, STARTING, Marker

OVERDUE_S = 30.0
"""A start that the user interrupts after so many seconds counts as hung."""

QUARANTINED, SUSPECTED = ".quarantined", ".suspected"
_WARNED: set[str] = set()

_numbers = itertools.count()


class Quarantined(Frozen):
    """A plugin that is kept out: which version (empty for any), why, and since when (seconds since the epoch)."""

    name: str
    version: str
    reason: str
    since: float


class Sweep(Frozen):
    """What a sweep changed: plugins put into quarantine, and plugins let out because they were upgraded."""

    added: tuple[Quarantined, ...] = ()
    lifted: tuple[Quarantined, ...] = ()


class Quarantine:
    """Markers and records in one private directory.

    Where the directory cannot be used a warning is logged, once, and nobody is quarantined.

    Args:
        directory: The directory; `plugins` in the user's directory for state when none is given.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._ready = ""

    @contextlib.contextmanager
    def starting(self, name: str, version: str = "", *, overdue_after: float = OVERDUE_S) -> Generator[Marker]:
        """Keep a marker for as long as a plugin is being started.

        Args:
            name: The plugin.
            version: Its version.
            overdue_after: Seconds after which an interruption by the user means that the plugin hung.
        """
        mark = self._mark(name, version)
        begin = time.monotonic()
        try:
            yield mark
        except BaseException as error:  # Ctrl-C, or the cancellation by which asyncio hands it on
            seconds = time.monotonic() - begin
            if seconds >= overdue_after and not isinstance(error, (Exception, SystemExit, GeneratorExit)):
                mark.leave(seconds)
            raise
        finally:
            if mark.remove():
                self._clear(name)

    def sweep(self, installed: Mapping[str, str] | None = None) -> Sweep:
        """Quarantine the plugins that dead processes were starting, and let out those that were upgraded.

        Args:
            installed: Version of each installed plugin by name; empty where only importing the plugin would tell it.
        """
        try:
            directory = self._existing()
            return self._sweep(directory, installed or {}) if directory else Sweep()
        except (OSError, FrameworkError) as error:
            self._warn(error)
            return Sweep()

    def records(self) -> dict[str, Quarantined]:
        """Return who is in quarantine, by name."""
        directory = self._existing()
        names = [entry for entry in _listed(directory) if entry.endswith(QUARANTINED)] if directory else []
        found = (_record(directory, entry) for entry in sorted(names))
        return {one.name: one for one in found if one is not None}

    def add(self, name: str, version: str, reason: str) -> Quarantined:
        """Put a plugin into quarantine.

        Args:
            name: The plugin.
            version: Its version: another one is not in quarantine. Empty for any version.
            reason: One sentence.

        Raises:
            ResourceUnavailableError: It cannot be written down.
            PolicyError: The directory belongs to somebody else.
        """
        directory = self._prepared()
        record = Quarantined(name, version, reason, time.time())
        _write(directory, _file_of(name), as_dict(record))
        return record

    def lift(self, name: str) -> bool:
        """Let a plugin out; return whether it was in quarantine.

        Raises:
            ResourceUnavailableError: Its record cannot be removed.
        """
        directory = self._existing()
        if not directory:
            return False
        try:
            os.unlink(os.path.join(directory, _file_of(name)))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unusable(directory, error) from error
        return True

    def _sweep(self, directory: str, installed: Mapping[str, str]) -> Sweep:
        added: list[Quarantined] = []
        left = [entry for entry in _listed(directory) if entry.endswith(STARTING)]
        if left:
            with _sweeping(directory) as alone, contextlib.ExitStack() as stack:
                found = [marker.dead(directory, each, stack) for each in left] if alone else []
                added = self._bury([one for one in found if one is not None])
        versioned = [one for one in self.records().values() if one.version]
        lifted = [one for one in versioned if (installed.get(one.name) or one.version) != one.version]
        return Sweep(tuple(added), tuple(one for one in lifted if self.lift(one.name)))

    def _place(self) -> str:
        return directories.state_path("plugins") if self._directory is None else self._directory

    def _existing(self) -> str:
        """Return the directory if it is there and ours, else nothing."""
        if self._ready:
            return self._ready
        try:
            place = self._place()
            found = os.stat(place)
        except (OSError, FrameworkError):
            return ""
        return place if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() else ""

    def _prepared(self) -> str:
        """Return the directory, made if need be."""
        if not self._ready:
            place = self._place()
            directories.make_private(place)
            self._ready = place
        return self._ready

    def _mark(self, name: str, version: str) -> Marker:
        try:
            directory = self._prepared()
            for _ in range(3):  # a sweep may take the file away between making and locking it
                mark = marker.make(directory, name, version)
                if mark is not None:
                    return mark
        except (OSError, FrameworkError) as error:
            self._warn(error)
        return Marker()

    def _bury(self, dead: list[tuple[str, dict[str, Any]]]) -> list[Quarantined]:
        """Turn the markers of dead processes into records."""
        added = []
        for path, one in dead:
            same = marker.companions(one, [content for _, content in dead])
            running = {other["name"] for other in same if other["running"]}
            try:
                # where no plugin's code was running, somebody may just have stopped the program: that must happen twice
                if one["name"] in running or "interrupted" in one or (not running and not self._suspect(one)):
                    others = (running or {other["name"] for other in same}) - {one["name"]}
                    added.append(self.add(one["name"], one["version"], marker.reason(one, sorted(others))))
                os.unlink(path)
            except (OSError, FrameworkError) as error:
                self._warn(error)
        return added

    def _suspect(self, one: dict[str, Any]) -> bool:
        """Note a first suspicion; drop a second one of the same version, and return False."""
        directory, file = self._prepared(), _file_of(one["name"], SUSPECTED)
        former = _record(directory, file)
        if former is not None and former.version == one["version"]:
            os.unlink(os.path.join(directory, file))
            return False
        _write(directory, file, as_dict(Quarantined(one["name"], one["version"], "", time.time())))
        return True

    def _clear(self, name: str) -> None:
        """Drop a suspicion: a start of the plugin came to its end."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._ready, _file_of(name, SUSPECTED)))

    def _warn(self, error: Exception) -> None:
        place = str(self._directory)
        if place in _WARNED:
            return
        _WARNED.add(place)
        from framework.telemetry import get_logger

        get_logger().warning("quarantine_unavailable", reason=str(error))


def quarantined(installed: Mapping[str, str] | None = None, directory: str | None = None) -> dict[str, str]:
    """Return the reason of each plugin in quarantine by name, after a sweep; 20 µs where there is none.

    Args:
        installed: Version of each installed plugin by name.
        directory: The directory of the quarantine; the user's when none is given.
    """
    quarantine = Quarantine(directory)
    quarantine.sweep(installed)
    return {name: one.reason for name, one in quarantine.records().items()}


@contextlib.contextmanager
def _sweeping(directory: str) -> Generator[bool]:
    """Keep other sweeps out, so that each finds what the one before wrote; False when one takes too long."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _retried(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB))
    finally:
        os.close(descriptor)


def _retried(lock: Callable[[], None]) -> bool:
    for _ in range(20):
        try:
            lock()
        except OSError:
            time.sleep(0.005)
        else:
            return True
    return False


def _file_of(name: str, kind: str = QUARANTINED) -> str:
    """Return the name of the file for a plugin's record; whatever the plugin is called, it is one safe name."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f"%{ord(c):x}." for c in name)
    if len(safe) > 200:
        import hashlib

        safe = f"{safe[:100]}%{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return f"{safe}{kind}"


def _record(directory: str, entry: str) -> Quarantined | None:
    """Return the record in a file, or nothing when the file is none of ours or not whole."""
    import json

    try:
        descriptor = marker.opened(os.path.join(directory, entry), os.O_RDONLY)
        with open(descriptor, "rb") as file:
            content = json.loads(file.read(SIZE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    kinds = {"name": str, "version": str, "reason": str, "since": float}
    if not isinstance(content, dict) or {key: type(value) for key, value in content.items()} != kinds:
        return None
    return Quarantined(**content) if _file_of(content["name"], f".{entry.rpartition('.')[2]}") == entry else None


def _write(directory: str, name: str, content: Mapping[str, Any]) -> None:
    import json

    temporary = os.path.join(directory, f".{os.getpid()}-{next(_numbers)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump(content, file)
        os.replace(temporary, os.path.join(directory, name))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _unusable(directory, error) from error


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _unusable(directory: str, error: OSError) -> ResourceUnavailableError:
    return ResourceUnavailableError(
        f"The quarantine in {directory!r} cannot be changed: {error.strerror}.",
        "Set XDG_STATE_HOME to a directory that you may write to.",
        resource=directory,
    )
