"""Where the framework keeps state and caches: private directories of the user."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError

APPLICATION = "framework"


def state_directory(name: str) -> str:
    """Return the directory for what a plugin must keep, under `$XDG_STATE_HOME`; made private on first use.

    Raises:
        InvalidRequestError: The name is not that of one directory.
        PolicyError: It belongs to somebody else.
        ResourceUnavailableError: It cannot be made.
    """
    import platformdirs  # 20 ms that only those pay who keep something

    return _private(platformdirs.user_state_dir, name)


def state_path(name: str) -> str:
    """Return where `state_directory` would make the directory, without making anything.

    Raises:
        ResourceUnavailableError: Nothing says where the user's home is.
    """
    return _planned(name, "XDG_STATE_HOME", "~/.local/state")


def cache_path(name: str) -> str:
    """Return where `cache_directory` would make the directory, without making anything.

    Raises:
        ResourceUnavailableError: Nothing says where the user's home is.
    """
    return _planned(name, "XDG_CACHE_HOME", "~/.cache")


def _planned(name: str, variable: str, usual: str) -> str:
    if sys.platform == "linux":  # what platformdirs answers here, 10 ms earlier
        home = os.environ.get(variable, "")
        if not os.path.isabs(home):
            home = os.path.expanduser(usual)
        if os.path.isabs(home):
            return os.path.join(home, APPLICATION, name)
    import platformdirs

    return _below(platformdirs.user_state_dir if "STATE" in variable else platformdirs.user_cache_dir, name)


def cache_directory(name: str) -> str:
    """Return the directory for what a plugin can make again, under `$XDG_CACHE_HOME`; made private on first use.

    Raises:
        InvalidRequestError: The name is not that of one directory.
        PolicyError: It belongs to somebody else.
        ResourceUnavailableError: It cannot be made.
    """
    import platformdirs

    return _private(platformdirs.user_cache_dir, name)


def _private(parent: Callable[..., str], name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise InvalidRequestError(
            f"A directory was asked for by the name {name!r}; allowed: one name without '/'.", "Use the plugin's name."
        )
    path = _below(parent, name)
    make_private(path)
    return path


def _below(parent: Callable[..., str], name: str) -> str:
    try:
        return os.path.join(parent(APPLICATION, appauthor=False), name)
    except RuntimeError as error:
        raise ResourceUnavailableError(
            f"No directory can be made for {name!r}: {error}.",
            "Set XDG_STATE_HOME and XDG_CACHE_HOME to absolute paths.",
            resource=name,
        ) from error


def make_private(path: str) -> None:
    """Make a directory that only its owner may enter, or make one that is there private.

    Raises:
        PolicyError: It belongs to somebody else.
        ResourceUnavailableError: It cannot be made.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
    except OSError as error:
        raise ResourceUnavailableError(
            f"The directory {path!r} cannot be made: {error.strerror}.",
            "Set XDG_STATE_HOME and XDG_CACHE_HOME to directories that you may write to.",
            resource=path,
        ) from error
    if found.st_uid != os.geteuid():
        raise PolicyError(
            f"The directory {path!r} belongs to user {found.st_uid}, not to user {os.geteuid()}.",
            "Set XDG_STATE_HOME and XDG_CACHE_HOME to directories of your own.",
            resource=path,
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(path, 0o700)
