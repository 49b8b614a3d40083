"""`Change`: has whatever is interrupted under the pool's lock made whole before anybody else sees it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from framework.errors import FrameworkError


class Change:
    """Stands behind the pool's lock in each `with`: `with self._lock, self._change:`.

    An exception can be raised between any two instructions of Python: by a handler of a signal (Ctrl-C), by
    `PyThreadState_SetAsyncExc`, or because there is no memory. So it is noted before anything is done that something
    may be half done, and that is taken back only by what was done wholly, or was refused before it began, which is
    what the framework's own errors mean. Whatever else leaves is mended on its way out; should that be interrupted as
    well, whoever has the lock next does it first. The lock itself must be one of `threading`, and entered by `with`:
    then the interpreter looks for signals neither between taking it and the block, nor between the block and letting
    it go. A lock that is written in Python, as that of a `Condition`, could be left locked for ever.

    Args:
        mend: Makes the pool whole, whatever it finds, also what it left half done itself.

    Attributes:
        broken: True while something may be half done.
    """

    __slots__ = ("_mend", "broken")

    def __init__(self, mend: Callable[[], None]) -> None:
        self._mend = mend
        self.broken = False

    def mend(self) -> None:
        """Make the pool whole; its lock must be held."""
        self._mend()
        self.broken = False

    def __enter__(self) -> None:
        if self.broken:
            self.mend()
        self.broken = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, FrameworkError):
            self.broken = False
        else:
            self.mend()
