"""`Notice`: something that is blocked, why, and what would help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """One cause for a warning.

    Attributes:
        cause: `entities` where some are blocked, `task` where tasks wait for one thing, `more` for all causes beyond
            those that are told one by one.
        reason: Why: `blocked`; `busy`, `error`, `impossible` or `kept`; nothing for `more`.
        task: The task, or the first of those that wait for the same.
        count: How many entities or tasks, or causes, they are.
        sentence: All of it, in words.
        remedy: A way out.
    """

    cause: str
    reason: str
    task: str
    count: int
    sentence: str
    remedy: str
