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

    watch_seconds: float = Field(default=10.0, description="Pause between two looks at a camera that has rules.")
    watch_burst_seconds: float = Field(default=2.0, description="How much of its stream is looked at each time.")
    watch_motion_seconds: float = Field(default=8.0, description="The same where a rule about motion is awake.")
    watch_timeout_seconds: float = Field(default=6.0, description="Hard deadline up to the first packet of a look.")
    watch_most_bytes: int = Field(default=6 * 1024 * 1024, description="Most of a stream that is taken in one look.")
    watch_parallel: int = Field(default=32, description="Most looks under way at once.")
    watch_decoders: int = Field(default=2, description="Threads that decode pictures.")
    watch_poll_seconds: float = Field(default=1.0, description="How often cameras to look at are looked for.")
    watch_sweep_seconds: float = Field(
        default=30.0, description="How often watches that lapsed, and snapshots past their time, are looked for."
    )
    watch_quiet_seconds: float = Field(default=300.0, description="After an alert its rule is quiet for this long.")
    snapshot_days: int = Field(default=30, description="How long the picture of an alert is kept.")

    notice_hours: int = Field(default=24, description="Phones that are off so long after a notice do not get it.")
    push_poll_seconds: float = Field(default=1.0, description="How often due notices and pushes are looked for.")
    push_parallel: int = Field(default=16, description="Most pushes under way at once.")
    push_timeout_seconds: float = Field(default=10.0, description="Hard deadline of one push.")
    push_contact: str = Field(
        default="", description="mailto: or https: address for push services to complain to; default: public_url."
    )
    push_host: str = Field(
        default="",
        description="host:port of a push service that may be called by HTTP and inside this network; for tests.",
    )
    phones_per_village: int = Field(default=20_000, description="Most phones that may follow one village.")

    @property
    def push_from(self) -> str:
        """Who push services are told is sending."""
        return self.push_contact or self.public_url
