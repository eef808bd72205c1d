"""Owns the settings that every service shares; each comes from the environment, typed, with unit and default."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_WEB = Path(__file__).resolve().parent.parent / "web"


class ServiceSettings(BaseSettings):
    """Settings of any service. A subclass sets `env_prefix` to `XASO_<SERVICE>_` and the default of `name`."""

    model_config = SettingsConfigDict(env_prefix="XASO_", extra="ignore", frozen=False)

    name: str = Field(description="Name of the service; also its path prefix and its Kafka consumer group.")
    database_url: str = Field(
        default="postgresql+asyncpg://localhost/xaso", description="SQLAlchemy address of the service's own database."
    )
    pool_size: int = Field(default=8, description="Connections kept open to PostgreSQL.")
    kafka: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, comma separated.")
    kafka_partitions: int = Field(default=4, description="Partitions of a topic that does not exist yet.")
    kafka_replication: int = Field(
        default=1, description="Replicas of a topic that does not exist yet; 3 on a cluster."
    )
    topic_prefix: str = Field(default="", description="Put before every topic and group name; tests use it.")
    public_url: str = Field(default="http://127.0.0.1:8080", description="The one origin that browsers see.")
    hsts_seconds: int = Field(
        default=31_536_000,
        ge=0,
        description="How long browsers remember to come by HTTPS only, where public_url is https; 0 does not say so.",
    )
    public_internals: bool = Field(
        default=False,
        description="Serve /metrics and the reasons of /readyz on the web port too: where nobody else reaches it.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Port of /metrics, /readyz with its reasons and /healthz for the operator alone; empty opens none.",
    )
    issuer: str = Field(default="", description="OpenID Connect issuer; default: public_url + /identity.")
    jwks_url: str = Field(default="", description="Where the issuer's keys are; default: issuer + /jwks.json.")
    jwks_json: str = Field(default="", description="The issuer's keys inline, instead of jwks_url.")
    ended_url: str = Field(
        default="", description="Where the issuer tells which sessions ended early; default: issuer + /ended.json."
    )
    token_endpoint: str = Field(default="", description="OAuth 2.0 token endpoint; default: issuer + /token.")
    host: str = Field(default="127.0.0.1", description="Address the web and gRPC ports are bound to.")
    port: int = Field(default=0, description="Web port when the service runs by itself; 0 takes a free one.")
    grpc_port: int = Field(default=0, description="gRPC port; 0 takes a free one.")
    grpc_tls_cert: Path | None = Field(default=None, description="PEM certificate chain of the gRPC port.")
    grpc_tls_key: Path | None = Field(default=None, description="PEM private key of the gRPC port.")
    secret: SecretStr = Field(default=SecretStr(""), description="Secret of the service (32 bytes or more, text).")
    web_dir: Path = Field(default=PROJECT_WEB, description="Directory of the shared templates and the built front end.")
    otlp_endpoint: str = Field(default="", description="OTLP/gRPC collector for traces; empty sends none.")
    json_logs: bool = Field(default=True, description="Logs as JSON lines; false for people at a terminal.")
    strict_telemetry: bool = Field(default=False, description="Unregistered log keys raise instead of being dropped.")
    max_body_bytes: int = Field(default=1_048_576, description="Largest request body in bytes unless a route says so.")
    outbox_retention_days: int = Field(default=7, description="Days that published events stay in the outbox.")
    relay_batch: int = Field(default=500, description="Events sent per round of the relay.")
    relay_poll_seconds: float = Field(default=1.0, description="Longest wait of the relay without a notification.")
    send_deadline_seconds: float = Field(default=10.0, description="Hard deadline of one round of sends.")
    consumer_batch: int = Field(default=500, description="Most events of one partition in one database transaction.")
    consumer_tries: int = Field(default=5, description="Tries of a permanently failing event before it is set aside.")
    dead_letter_stop: int = Field(
        default=50, description="Dead letters within dead_letter_window_seconds after which a consumer stops."
    )
    dead_letter_window_seconds: int = Field(default=60, description="Window of dead_letter_stop, in seconds.")
    audit_checkpoints: Path | None = Field(
        default=None, description="Directory, kept elsewhere, for the signed checkpoints of the audit log."
    )
    audit_key: Path | None = Field(
        default=None, description="PEM Ed25519 key that signs the checkpoints; default: beside them, made when missing."
    )

    @property
    def https(self) -> bool:
        """Whether browsers reach the platform by HTTPS, wherever TLS ends."""
        return self.public_url.lower().startswith("https://")

    def model_post_init(self, _context: object) -> None:
        self.issuer = self.issuer or f"{self.public_url}/identity"
        self.jwks_url = self.jwks_url or f"{self.issuer}/jwks.json"
        self.ended_url = self.ended_url or f"{self.issuer}/ended.json"
        self.token_endpoint = self.token_endpoint or f"{self.issuer}/token"
