"""Owns the settings of the identity service beyond those that every service shares."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of identity, read from `XASO_IDENTITY_*`."""

    model_config = SettingsConfigDict(env_prefix="XASO_IDENTITY_", extra="ignore", frozen=False)

    name: str = "identity"
    data_key: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that personal data and signing keys are encrypted with (32 characters or more); "
        "default: derived from `secret`.",
    )
    session_hours: float = Field(default=8, gt=0, le=24, description="Life of a sign-in, in hours.")
    code_seconds: int = Field(default=300, gt=0, le=600, description="Life of an authorization code, in seconds.")
    access_seconds: int = Field(default=600, gt=0, le=3600, description="Life of an application's token, in seconds.")
    partner_seconds: int = Field(default=3600, gt=0, le=28_800, description="Life of a partner's token, in seconds.")
    refresh_days: float = Field(default=30, gt=0, description="Absolute life of a family of refresh tokens, in days.")
    key_days: float = Field(default=30, gt=0, description="How long one key signs before the next one, in days.")
    key_ahead_hours: float = Field(
        default=24, ge=0, description="How long a new key is published before it signs, in hours."
    )
    login_tries: int = Field(default=5, gt=0, description="Wrong passwords per account and address in one window.")
    login_tries_account: int = Field(
        default=50, gt=0, description="Wrong passwords per account from anywhere in one window."
    )
    login_window_minutes: float = Field(default=15, gt=0, description="Window of the two limits above, in minutes.")
    register_tries: int = Field(default=20, gt=0, description="Registrations per address in one window.")
    argon2_memory_kib: int = Field(default=19_456, ge=8, description="Memory of one password hash, in KiB.")
    argon2_time: int = Field(default=2, ge=1, description="Passes of one password hash.")
