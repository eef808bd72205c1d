"""Every setting of the petitions service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables `XASO_PETITIONS_*`."""

    model_config = SettingsConfigDict(env_prefix="XASO_PETITIONS_", extra="ignore")

    name: str = "petitions"
    reopen_days: int = Field(
        default=15, ge=1, description="Days (calendar) after closing within which the reporter may reopen a case."
    )
    draft_hours: int = Field(
        default=24, ge=1, description="Hours that an unsent report, with its photos, is kept for its writer."
    )
    similar_days: int = Field(
        default=60, ge=1, description="Days back in which similar cases are looked for before a report is sent."
    )
    forum_posts_per_hour: int = Field(
        default=10, ge=1, description="Posts that one account may write, and report, in the forum within an hour."
    )
    forum_edit_minutes: int = Field(
        default=15, ge=0, description="Minutes after sending within which the writer may mend a post in the forum."
    )
