"""What the configuration may say under `plugins: system:`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from framework.errors import InvalidRequestError


class SystemSettings(BaseModel):
    """Settings of the system plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disk_path: str = Field(default="/", min_length=1, description="A path on the file system whose space is measured.")
    alerts: dict[str, dict[str, Any]] = Field(
        default={},
        description="Alerts by name: metric, above or below, and if need be clear, for_seconds, level, message.",
    )

    @field_validator("alerts")
    @classmethod
    def _are_alerts(cls, alerts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        from plugin_system.alerts import from_mapping  # which most configurations do not need

        for name, definition in alerts.items():
            try:
                found = from_mapping(name, definition)
            except (InvalidRequestError, TypeError) as error:
                raise ValueError(str(error)) from error
            if not found.metric:
                msg = f"The alert {name!r} has no metric, and nobody else could raise it."
                raise ValueError(msg)
        return alerts
