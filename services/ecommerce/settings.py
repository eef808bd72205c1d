"""Owns the settings of the ecommerce service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the ecommerce service, from the environment with the prefix `XASO_ECOMMERCE_`."""

    model_config = SettingsConfigDict(env_prefix="XASO_ECOMMERCE_", extra="ignore")

    name: str = Field(default="ecommerce", description="Name of the service; also its path prefix.")
    turn_seconds: float = Field(
        default=1.0, description="Seconds between two looks for listings that begin or end by the clock."
    )
    turn_batch: int = Field(default=200, description="Products whose listings begin or end in one transaction.")
    tourism_seconds: float = Field(
        default=30.0, description="Seconds between two looks for tourism points and bookings that fall due."
    )
    photo_max_bytes: int = Field(default=8 * 1024 * 1024, description="Largest photo file accepted, in bytes.")
    photo_max_side: int = Field(default=1200, description="Longest side of a stored photo, in pixels.")
