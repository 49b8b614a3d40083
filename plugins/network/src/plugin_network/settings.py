"""`NetworkSettings`: what the configuration may say about this plugin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class NetworkSettings(BaseModel):
    """The section `network` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds to wait for a connection when a request does not say."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Hosts to connect to, send to and listen on, spelt as requests spell them; empty allows any.",
    )
    max_connections: int = Field(
        default=1000, ge=1, description="Most sockets open at once: connections made, accepted, and listeners."
    )
