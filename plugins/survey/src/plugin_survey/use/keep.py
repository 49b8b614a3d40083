"""Which of several equal files is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from plugin_survey.use.copy import Copy, Equal

RULES: dict[str, Callable[[Copy], Any]] = {
    "oldest": lambda copy: copy.mtime_ns,
    "newest": lambda copy: -copy.mtime_ns,
    "first": lambda copy: copy.names[0],
    "shortest": lambda copy: min(map(len, copy.names)),
}
"""What is smallest for the file to be kept: by time of modification, by path in order of bytes, by length of path."""


def split(group: Equal, rule: str) -> tuple[Copy, Iterator[Copy]]:
    """Return the file to keep, and the others, once. Where the rule does not decide, the first by path is kept.

    What is only left of somebody who was killed is kept last: its name is nobody's.
    """
    kept = min(group.copies, key=lambda copy: (copy.left_over, RULES[rule](copy), copy.names[0]))
    return kept, (copy for copy in group.copies if copy != kept)
