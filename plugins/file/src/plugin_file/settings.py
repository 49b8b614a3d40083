"""What the configuration may say under `plugins: file:`."""

from pydantic import BaseModel, ConfigDict, Field


class FileSettings(BaseModel):
    """Settings of the file plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roots: list[str] = Field(
        default_factory=list,
        description="Directories in and below which files and directories may be created; anywhere if empty.",
    )
    max_bytes: int | None = Field(
        default=None, ge=0, description="Most bytes that may be reserved at once, over all files; null for no cap."
    )
    temp_directory: str | None = Field(
        default=None,
        min_length=1,
        description="Where temporary files and directories go whose request names no place, allowed even outside the"
        " roots; the system's directory for temporary files if null.",
    )
