"""What the configuration may say under `plugins: pressure:`."""

from pydantic import BaseModel, ConfigDict, Field

from plugin_pressure.options import Options

_DEFAULT = Options()


class PressureSettings(BaseModel):
    """Settings of the pressure plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    critical_threshold: float = Field(
        default=_DEFAULT.critical_threshold,
        gt=0,
        le=100,
        description="Percent of the memory that this process may use from which nothing more is lent; above"
        " `resource_management.aggressive_threshold_memory`.",
    )
    warning_margin: float = Field(
        default=_DEFAULT.warning_margin,
        gt=0,
        lt=100,
        description="Percent below the warning threshold under which use must stay for the level to be left.",
    )
    aggressive_margin: float = Field(
        default=_DEFAULT.aggressive_margin,
        gt=0,
        lt=100,
        description="Percent below the aggressive threshold under which use must stay for the level to be left.",
    )
    critical_margin: float = Field(
        default=_DEFAULT.critical_margin,
        gt=0,
        lt=100,
        description="Percent below the critical threshold under which use must stay for the level to be left.",
    )
    participant_budget: float = Field(
        default=_DEFAULT.participant_budget,
        gt=0,
        description="Seconds that each participant of a round may take before it is left behind.",
    )
    cooldown: float = Field(
        default=_DEFAULT.cooldown,
        gt=0,
        description="Seconds between two rounds while a level lasts; doubled, up to 16 times it, by each of no help.",
    )
    pause_deadline: float = Field(
        default=_DEFAULT.pause_deadline,
        gt=0,
        description="Seconds that acquisitions wait at the critical level before they are refused.",
    )
    fastest_fill: float = Field(
        default=_DEFAULT.fastest_fill,
        gt=0,
        description="Bytes a second, the fastest that use may grow: the less, the rarer memory is looked at.",
    )
    kept_decisions: int = Field(default=_DEFAULT.kept_decisions, ge=1, description="How many decisions are kept.")
    dry_run: bool = Field(
        default=_DEFAULT.dry_run,
        description="Whether to say only what would be done: no cleanup, no pause, nobody told of the level.",
    )
