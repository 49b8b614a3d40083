"""`Turns`: has threads take turns more often while memory is short.

A thread that computes keeps the interpreter for 5 ms (`sys.getswitchinterval`), and one that reads files has to wait
for it after each. The watch and a round read dozens: with 1 GB/s coming in, memory would be gone before they end.
"""

from __future__ import annotations

import sys

SHORT = 0.0002
"""Seconds."""


class Turns:
    """Shortens the interval of the interpreter, and restores what it was."""

    def __init__(self) -> None:
        self._former = 0.0

    def shorten(self) -> None:
        """Take turns often from now on."""
        if not self._former and sys.getswitchinterval() > SHORT:
            self._former = sys.getswitchinterval()
            sys.setswitchinterval(SHORT)

    def restore(self) -> None:
        """Take turns as before, unless somebody else has changed it meanwhile."""
        if self._former:
            if abs(sys.getswitchinterval() - SHORT) < SHORT / 10:
                sys.setswitchinterval(self._former)
            self._former = 0.0
