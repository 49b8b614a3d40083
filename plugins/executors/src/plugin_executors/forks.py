"""What becomes of pools in a forked child: it never touches its parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forgetful(Protocol):
    """What must know that it is in a forked child."""

    def forget(self) -> None:
        """Drop what is the parent's; called in the child, where only one thread is left."""


_all: weakref.WeakSet[Forgetful] = weakref.WeakSet()


def remember(one: Forgetful) -> None:
    """Have something told in forked children."""
    _all.add(one)


def _in_child() -> None:
    for one in list(_all):
        one.forget()


os.register_at_fork(after_in_child=_in_child)
