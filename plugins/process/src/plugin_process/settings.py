"""`ProcessSettings`: what the configuration may say about this plugin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ProcessSettings(BaseModel):
    """The section `process` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop_grace: float = Field(
        default=5.0,
        ge=0,
        le=20,
        description="Seconds that a child has between SIGTERM and SIGKILL, and a thread to notice that it should stop.",
    )
    max_processes: int = Field(default=100, ge=1, description="Most children held at once; threads do not count.")
    allowed_commands: list[str] = Field(
        default_factory=list,
        description="Commands that may be run: names found on this process' PATH, or full paths; empty allows any."
        " A request with shell=True runs /bin/sh, and whoever may run a shell may run anything.",
    )
    output_limit: int = Field(
        default=1 << 20, ge=1, le=1 << 30, description="Bytes kept of each of a child's two outputs: the last ones."
    )
