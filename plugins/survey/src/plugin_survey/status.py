"""`Status`: how far a survey is, stage by stage. The stages write it, the progress and the samples read it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from plugin_survey.shown import shown, visible

FINGERPRINT, INSPECT, REPORT, NEAR = "fingerprint", "inspect", "report", "near"


@dataclass(slots=True)
class Stage:
    """One stage: what is done of what is to be done, None where that is not known, and bytes read."""

    name: str
    total: int | None = None
    done: int = 0
    bytes: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it takes, or took."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def rate(self) -> float:
        """Files a second; 0 before there is one."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds that it will still take at that rate, None where nobody knows."""
        if self.total is None or not self.done or self.ended is not None:
            return None
        return max(0, self.total - self.done) / self.rate


@dataclass(slots=True)
class Status:
    """All stages that were begun, the bytes that all processes have together, and what went wrong last."""

    stages: list[Stage] = field(default_factory=list)
    memory: int = 0
    peak: int = 0
    budget: int | None = None
    last_error: str = ""
    waiting: list[str] = field(default_factory=list)
    """Why each task waits that does."""

    def begin(self, name: str, total: int | None = None) -> Stage:
        """Begin a stage, which ends the one before."""
        self.end()
        self.stages.append(Stage(name, total))
        return self.stages[-1]

    def end(self) -> None:
        """End the stage that runs."""
        if self.stages and self.stages[-1].ended is None:
            self.stages[-1].ended = time.monotonic()

    def failed(self, path: bytes, cause: str) -> None:
        """Take what went wrong with a file or folder."""
        self.last_error = f"{shown(path)}: {visible(cause)}"

    def measured(self, memory: int) -> None:
        """Take a measurement of the memory."""
        self.memory = memory
        self.peak = max(self.peak, memory)
