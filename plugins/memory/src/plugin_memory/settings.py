"""What the configuration may say under `plugins: memory:`."""

from pydantic import BaseModel, ConfigDict, Field


class MemorySettings(BaseModel):
    """Settings of the memory plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Most bytes that may be held at once, shared memory, buffers and caches together; null for no cap.",
    )
