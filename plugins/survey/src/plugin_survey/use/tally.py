"""`Tally`: what became of many names, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from plugin_survey.use.merging import Step


@dataclass(slots=True)
class Tally:
    """What steps come to: how many names by what was done with them, and the bytes that frees."""

    names: Counter[str] = field(default_factory=Counter)
    freed: int = 0

    def counted(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps again."""
        for step in steps:
            self.names[step.action] += 1
            self.freed += step.freed
            yield step
