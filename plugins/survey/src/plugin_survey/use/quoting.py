"""Paths in a form that can be pasted into a shell."""

from __future__ import annotations

import re
import shlex

_UNSAFE = re.compile(r"[^ -~]|['\\]")


def quoted(path: bytes) -> str:
    r"""Return a path as a word of a shell, on one line and with nothing in it that a terminal would obey.

    Names that cannot be shown as they are become `$'a\012b\377'`, which bash, zsh, ksh and POSIX of 2024 read.
    """
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return _escaped(path)
    return shlex.quote(text) if text.isprintable() else _escaped(path)


def _escaped(path: bytes) -> str:
    # octal, of three digits always: after \xff a letter that follows would be taken for a digit of it by some shells
    inner = _UNSAFE.sub(
        lambda found: "".join(f"\\{one:03o}" for one in found[0].encode("latin-1")), path.decode("latin-1")
    )
    return f"$'{inner}'"
