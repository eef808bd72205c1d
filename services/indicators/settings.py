"""Owns the settings of the indicators service, beside those every service shares."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment prefix `XASO_INDICATORS_`."""

    model_config = SettingsConfigDict(env_prefix="XASO_INDICATORS_", extra="ignore", frozen=False)

    name: str = "indicators"
    sequence_poll_seconds: float = Field(
        default=0.5, description="Longest wait, in seconds, before committed changes get a position without a wake-up."
    )
    roll_up_seconds: float = Field(
        default=0.2, description="Shortest time, in seconds, between two roll-ups: changes meanwhile become one."
    )
    heartbeat_seconds: float = Field(
        default=15.0, description="Seconds between comments on a silent stream, so that a dead line is noticed."
    )
    calendar_seconds: float = Field(
        default=3600.0, description="Seconds between looks at the calendar: a new year, a suspension that ends."
    )
    late_seconds: float = Field(
        default=2.0,
        description="Shortest time, in seconds, between two looks whether something was said of a former unit.",
    )
    import_poll_seconds: float = Field(
        default=1.0, description="Longest wait, in seconds, before a large file import begins in the background."
    )
    import_kept_days: int = Field(
        default=30,
        ge=1,
        description="Days after which files that were put aside, or could not be read or applied, are cleared.",
    )
    reading_seconds: float = Field(
        default=2.0,
        description="Longest time, in seconds, before the reading of a commune's data by another system counts.",
    )
    submit_batch: int = Field(default=500, description="Observations committed together while a stream comes in.")
    submit_wait_seconds: float = Field(
        default=0.2, description="Longest time, in seconds, an observation waits for others before it is committed."
    )
    submit_max: int = Field(default=1_000_000, description="Most observations in one call of Submit.")
    map_file: Path | None = Field(
        default=None,
        description="GeoJSON (WGS 84) of units' outlines or points, `properties.code` naming the unit; none: tiles.",
    )
