"""Owns every setting of the media service; each comes from the environment as `XASO_MEDIA_<NAME>`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """The shared settings and those of the MQTT hub, the bulletins and the camera probes."""

    model_config = SettingsConfigDict(env_prefix="XASO_MEDIA_", extra="ignore")

    name: str = "media"

    mqtt: str = Field(
        default="",
        description="MQTT broker, host:port or mqtt[s]://[user:password@]host[:port]; empty runs no hub.",
    )
    mqtt_root: str = Field(default="xaso", description="First level of every topic; one word.")
    mqtt_keepalive_seconds: int = Field(default=15, description="Keep-alive of the hub's own connection, in seconds.")
    mqtt_max_message_bytes: int = Field(default=4096, description="Longer messages of devices are counted and dropped.")
    mqtt_backoff_seconds: float = Field(default=15.0, description="Longest pause between two attempts to connect.")
    mqtt_signatures: bool = Field(
        default=True,
        description="Device messages must carry a MAC. Turn off only where the broker itself ties user to topic.",
    )
    heartbeat_seconds: float = Field(default=30.0, description="How often a loudspeaker is told to send a heartbeat.")
    heartbeat_factor: float = Field(default=1.5, description="Silence beyond factor × heartbeat_seconds means lost.")
    watchdog_seconds: float = Field(default=2.0, description="How often the ages of heartbeats are looked at.")
    dispatch_seconds: float = Field(default=0.5, description="How often waiting commands are looked for.")
    resend_seconds: float = Field(default=10.0, description="A command not confirmed as received is sent again after.")
    leader_seconds: float = Field(default=2.0, description="How often a waiting replica tries to become the hub.")
    bulletin_minutes: int = Field(default=10, description="Validity of a test bulletin in minutes.")

    probe_seconds: float = Field(default=30.0, description="Pause between two probes of a camera.")
    probe_retry_seconds: float = Field(default=10.0, description="Pause after a failed probe of a camera.")
    probe_timeout_seconds: float = Field(default=5.0, description="Hard deadline of one probe.")
    probe_parallel: int = Field(default=32, description="Most probes under way at once.")
    probe_poll_seconds: float = Field(default=0.5, description="How often cameras that are due are looked for.")
    probe_loopback: bool = Field(default=False, description="Cameras on 127.0.0.1 and ::1 are allowed; for the demo.")
    failures_to_offline: int = Field(default=2, description="Failed probes in a row that make a camera offline.")
    uptime_days: int = Field(default=30, description="Window of the uptime figure in days.")
