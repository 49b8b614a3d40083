"""`NetworkSettings`: what the configuration may say about this plugin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from plugin_network.allowing import AllowList


class NetworkSettings(BaseModel):
    """The section `network` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds to wait for a connection when a request does not say."
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Hosts to connect to, send to and listen on: names, `*.names`, addresses and networks, the latter "
        "two also of what a name resolves to; empty allows any.",
    )
    max_connections: int = Field(
        default=1000, ge=1, description="Most connections made and listeners at once, of all owners together."
    )
    max_connections_per_host: int | None = Field(
        default=None, ge=1, description="Most connections to one host at once, idle ones included; no limit by default."
    )
    max_accepted: int = Field(default=1000, ge=1, description="Most connections that one listener has open at once.")
    max_idle: int = Field(default=64, ge=0, description="Most idle connections kept for reuse, to all hosts together.")
    max_idle_per_host: int = Field(
        default=8, ge=0, description="Most idle connections kept for one host, port and kind of TLS; 0 keeps none."
    )
    idle_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds after which an idle connection is closed."
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, entries: list[str]) -> list[str]:
        AllowList(entries)
        return entries
