"""`Operations`: counts what a call does, so that its cost can be told without a clock."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

_LINEAR = frozenset(["copy", "count", "extend", "index", "insert", "remove", "reverse", "rotate", "sort"])
"""Methods of lists and deques that go through all elements, or move them."""


class Operations:
    """Counts instructions of Python code, and what its arguments report besides.

    C code counts as one instruction, with two exceptions: methods of lists and deques that go through all their
    elements count as many, and arguments may count each time they are touched, also from C (`CountedLoad` does). From
    Python 3.12 on the interpreter tells of a function's instructions only from its second call on.
    """

    def __init__(self) -> None:
        self.count = 0

    def of(self, call: Callable[[], object]) -> int:
        """Return how many operations a call takes."""
        before = self.count
        with self._traced():
            call()
        return self.count - before

    @contextmanager
    def _traced(self) -> Iterator[None]:
        trace, profile = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._called)
        sys.settrace(self._entered)
        try:
            yield
        finally:
            sys.settrace(trace)
            sys.setprofile(profile)

    def _entered(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_globals.get("__name__") == __name__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._stepped

    def _stepped(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self.count += event == "opcode"
        return self._stepped

    def _called(self, _frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in _LINEAR:
            owner = getattr(function, "__self__", None)
            if isinstance(owner, list | deque):
                self.count += len(owner)


class CountedLoad(int):
    """A number of holders that counts each comparison, also those that C code makes."""

    operations: Operations

    def __new__(cls, value: int, operations: Operations) -> Self:
        """Return a number that reports to a counter."""
        made = super().__new__(cls, value)
        made.operations = operations
        return made

    def __lt__(self, other: int) -> bool:
        self.operations.count += 1
        return int.__lt__(self, other)

    def __le__(self, other: int) -> bool:
        self.operations.count += 1
        return int.__le__(self, other)

    def __gt__(self, other: int) -> bool:
        self.operations.count += 1
        return int.__gt__(self, other)

    def __ge__(self, other: int) -> bool:
        self.operations.count += 1
        return int.__ge__(self, other)

    def __eq__(self, other: object) -> bool:
        self.operations.count += 1
        return int.__eq__(self, other)

    def __hash__(self) -> int:
        return int.__hash__(self)


class CountedMember:
    """A pooled entity, as a strategy sees it, that counts each time it is looked at, hashed or compared."""

    def __init__(self, name: str, operations: Operations) -> None:
        self._name = name
        self._load = CountedLoad(0, operations)
        self._operations = operations

    @property
    def id(self) -> str:
        """The name of the entity."""
        self._operations.count += 1
        return self._name

    @property
    def load(self) -> int:
        """How many tasks hold it now."""
        self._operations.count += 1
        return self._load

    def change(self, by: int) -> None:
        """Let more tasks hold it, or fewer."""
        self._load = CountedLoad(int(self._load) + by, self._operations)

    def __eq__(self, other: object) -> bool:
        self._operations.count += 1
        return self is other

    def __hash__(self) -> int:
        self._operations.count += 1
        return id(self) // 16

    def __repr__(self) -> str:
        return f"<{self._name} with {int(self._load)} holders>"
