"""What the configuration may say about executors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Workers = Literal["auto"] | Annotated[int, Field(ge=1, strict=True)]


class ExecutorsSettings(BaseModel):
    """Settings of the plugin `executors`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thread_workers: Workers = Field(
        default="auto",
        description="Threads of a thread executor that is asked for without a number; auto is min(32, CPUs + 4).",
    )
    process_workers: Workers = Field(
        default="auto",
        description="Processes of a process executor that is asked for without a number; auto is one for each CPU"
        " that affinity and control group quotas leave.",
    )
    stop_grace: float = Field(
        default=5.0,
        ge=0,
        le=20,
        description="Seconds that running tasks have to end when an executor is released; processes are then killed,"
        " and a thread that still runs keeps its lease quarantined. A release as a whole may take 30 s.",
    )
    task_attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        strict=True,
        description="How many worker processes a task may end before it fails; 1 to try no task again.",
    )
