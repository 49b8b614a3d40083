"""Where indexes lie: a private folder below `$XDG_CACHE_HOME`, whose owner and mode are looked at before its files.

Decoding an index trusts it, so what somebody else could have written is refused, said, and written anew where that is
possible. A folder that cannot be made or written to means no index, and nothing else.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import zlib
from contextlib import suppress

SIZE_LIMIT = 64 << 20
"""Most bytes of an index; 1,000 plugins take about one mebibyte."""

KEPT = 32
"""Most indexes in the folder: one for each import path and each version of Python that was used lately."""

_SUFFIX = ".index"
_ABANDONED_S = 3600.0


class UnsafeIndexError(Exception):
    """Somebody else could have written the index; the text is a sentence for its row."""


def folder() -> str:
    """Return where indexes lie, as platformdirs has it; empty where nothing says where the user's home is."""
    if sys.platform != "linux":
        import platformdirs  # 20 ms, which the places of other systems are worth

        with suppress(RuntimeError):
            return os.path.join(platformdirs.user_cache_dir("framework", appauthor=False), "discovery")
        return ""
    home = os.environ.get("XDG_CACHE_HOME", "").strip()
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
    return os.path.join(home, "framework", "discovery") if os.path.isabs(home) else ""


def name(path: tuple[str, ...]) -> str:
    """Return the file of the index of a path, another for each version of Python."""
    key = "\0".join((sys.implementation.name, sys.version, *path)).encode("utf-8", "surrogatepass")
    return f"{zlib.crc32(key):08x}{zlib.adler32(key):08x}{_SUFFIX}"


def load(place: str, file: str, limit: int = SIZE_LIMIT) -> bytes | None:
    """Return the content of an index, at most so many bytes of it, or None where there is none.

    Raises:
        UnsafeIndexError: Somebody else could have written it.
    """
    try:
        directory = _opened(place)
    except OSError:
        return None
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"The index {os.path.join(place, file)} cannot be opened: {error.strerror}. Remove it."
        raise UnsafeIndexError(msg) from error
    finally:
        os.close(directory)
    try:
        found = os.fstat(descriptor)
        _refuse_strangers(os.path.join(place, file), found, proper=stat.S_ISREG(found.st_mode))
        return os.pread(descriptor, min(found.st_size, limit), 0)
    finally:
        os.close(descriptor)


def save(place: str, file: str, content: bytes) -> bool:
    """Write an index in one step, and remove the oldest of too many; return whether it was written.

    Raises:
        UnsafeIndexError: The folder is somebody else's, or others may write to it.
    """
    temporary = f".{file}.{os.getpid()}.{time.monotonic_ns()}"
    with suppress(OSError):
        os.makedirs(place, mode=0o700, exist_ok=True)
    try:
        directory = _opened(place)
    except OSError:
        return False
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(content)
            os.replace(temporary, file, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            os.unlink(temporary, dir_fd=directory)
            return False
        _prune(directory)
    except OSError:  # no space, a read-only file system: discovery works without
        return False
    finally:
        os.close(directory)
    return True


def _opened(place: str) -> int:
    if not place:
        raise FileNotFoundError
    if os.path.islink(place):
        msg = f"The folder of indexes {place} is a symbolic link, and is not used. Remove it."
        raise UnsafeIndexError(msg)
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _refuse_strangers(place, os.fstat(descriptor), proper=True)
    except UnsafeIndexError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_strangers(path: str, found: os.stat_result, *, proper: bool) -> None:
    if not proper:
        msg = f"The index {path} is not a regular file, and is not used. Remove it."
    elif found.st_uid != os.geteuid():
        msg = (
            f"The index {path} belongs to user {found.st_uid}, not to user {os.geteuid()}, and is not used. Remove it."
        )
    elif found.st_mode & 0o022:
        msg = f"The index {path} may be written by others, and is not used. Run chmod go-w on it, or remove it."
    else:
        return
    raise UnsafeIndexError(msg)


def _prune(directory: int) -> None:
    files = []
    for one in os.listdir(directory):
        with suppress(OSError):  # another process prunes too
            changed = os.stat(one, dir_fd=directory, follow_symlinks=False).st_mtime
            if one.endswith(_SUFFIX) and not one.startswith("."):
                files.append((changed, one))
            elif one.startswith(".") and _SUFFIX in one and changed < time.time() - _ABANDONED_S:
                os.unlink(one, dir_fd=directory)
    for _, one in sorted(files)[:-KEPT]:
        with suppress(OSError):
            os.unlink(one, dir_fd=directory)
