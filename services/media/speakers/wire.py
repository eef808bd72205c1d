"""Owns the language between the hub and the devices: topics, messages, signatures. The same words serve both ends.

Topics lie under `<root>/<commune>/<device_id>/`: `$state`, `birth`, `heartbeat`, `ack` from the device, `command` to
it. Every message is a JSON object with a `mac`: HMAC-SHA-256, in hex, keyed with the device's secret, over the topic, a
line feed, and the object without `mac` written with sorted keys and without spaces. So a device can only speak as
itself, and obeys only the hub, also on a broker that lets everybody in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, ValidationError

from services.media.bulletins.model import Stage
from services.media.speakers.model import Report, Source, State

MAX_BIRTH = 2**62
_TOPIC = re.compile(
    r"(?P<commune>[0-9]{1,10})/(?P<device>loa-[a-z2-7]{12})/(?P<leaf>\$state|birth|heartbeat|ack|command)"
)
_WORD = "abcdefghijklmnopqrstuvwxyz234567"

Leaf = Literal["$state", "birth", "heartbeat", "ack", "command"]
UPWARD: tuple[Leaf, ...] = ("$state", "birth", "heartbeat", "ack")


class BadMessage(Exception):
    """A message that cannot be taken; `reason` is a fixed word fit for a metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device listens and speaks."""

    root: str
    commune: str
    device: str

    def topic(self, leaf: Leaf) -> str:
        return f"{self.root}/{self.commune}/{self.device}/{leaf}"


def new_device_id() -> str:
    """A name for a device on the broker: short enough to be typed, not to be guessed in passing."""
    return "loa-" + "".join(secrets.choice(_WORD) for _ in range(12))


def new_secret() -> str:
    """A secret of 160 bits in letters and digits that are told apart in print."""
    return "".join(secrets.choice(_WORD) for _ in range(32))


def parse_topic(root: str, topic: str) -> tuple[Address, str]:
    """The address and the leaf a topic names; raises BadMessage("topic")."""
    head, _, rest = topic.partition("/")
    match = _TOPIC.fullmatch(rest)
    if head != root or match is None:
        raise BadMessage("topic")
    return Address(root, match["commune"], match["device"]), match["leaf"]


def _text(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def mac(secret: str, topic: str, body: dict[str, Any]) -> str:
    """The signature of `body` (without `mac`) on `topic`."""
    return hmac.new(secret.encode(), topic.encode() + b"\n" + _text(body), hashlib.sha256).hexdigest()


def signed(secret: str, topic: str, body: dict[str, Any]) -> bytes:
    """`body` as it travels, with its `mac`."""
    return _text({**body, "mac": mac(secret, topic, body)})


def decode(payload: bytes, *, limit: int) -> dict[str, Any]:
    """The JSON object in a payload; raises BadMessage oversized, empty or malformed."""
    if len(payload) > limit:
        raise BadMessage("oversized")
    try:
        body = json.loads(payload.decode("utf-8"), parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise BadMessage("malformed") from None
    if not isinstance(body, dict):
        raise BadMessage("malformed")
    return body


def _no_constant(name: str) -> float:
    raise ValueError(name)


def verify(secret: str, topic: str, body: dict[str, Any]) -> None:
    """Raise BadMessage("signature") unless `body` carries the right `mac`."""
    given = body.get("mac")
    plain = {key: value for key, value in body.items() if key != "mac"}
    try:
        right = mac(secret, topic, plain)
    except (UnicodeEncodeError, ValueError):
        raise BadMessage("malformed") from None
    if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), right.encode()):
        raise BadMessage("signature")


def _seconds_text(value: Any) -> Any:
    """Numbers as instants are refused: a device says when, with its offset, in RFC 3339."""
    if value is not None and not isinstance(value, str):
        raise ValueError("an instant is text")
    return value


Instant = Annotated[AwareDatetime | None, BeforeValidator(_seconds_text)]
Count = Annotated[StrictInt, Field(ge=1, le=MAX_BIRTH)]


class _Message(BaseModel):
    """What every device message may hold; words added by newer devices are ignored."""

    model_config = ConfigDict(extra="ignore")

    birth: Count
    at: Instant = None


class StateMessage(_Message):
    """`$state`: retained; the will of the connection is one with state lost."""

    state: Literal["init", "ready", "disconnected", "sleeping", "lost"]


class BirthMessage(_Message):
    """`birth`: retained; the number of the connection, larger than of any before."""


class HeartbeatMessage(_Message):
    """`heartbeat`: `seq` counts up within a birth, so that a recorded one is worth nothing."""

    seq: Count


class AckMessage(_Message):
    """`ack`: how far the device came with the command `id`."""

    id: uuid.UUID
    stage: Stage
    seconds: Annotated[float | None, Field(ge=0, le=86_400, allow_inf_nan=False)] = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A device message read and typed: a sign of life or an acknowledgement, and the device's own clock."""

    report: Report | None
    ack: AckMessage | None
    device_at: datetime | None


def read(leaf: str, body: dict[str, Any], *, retained: bool) -> Heard:
    """Type a verified body; raises BadMessage("malformed")."""
    try:
        match leaf:
            case "$state":
                state = StateMessage.model_validate(body)
                report = Report(Source.STATE, state.birth, state=State(state.state), retained=retained)
                # What the broker repeats from memory says nothing about the device's clock now.
                return Heard(report, None, None if retained or state.state == "lost" else state.at)
            case "birth":
                birth = BirthMessage.model_validate(body)
                return Heard(Report(Source.BIRTH, birth.birth, retained=retained), None, None if retained else birth.at)
            case "heartbeat":
                beat = HeartbeatMessage.model_validate(body)
                report = Report(Source.HEARTBEAT, beat.birth, sequence=beat.seq, retained=retained)
                return Heard(report, None, beat.at)
            case "ack":
                ack = AckMessage.model_validate(body)
                return Heard(None, ack, ack.at)
    except ValidationError:
        raise BadMessage("malformed") from None
    raise BadMessage("topic")


def play_command(delivery: uuid.UUID, bulletin: uuid.UUID, *, sound: Sound, expires_at: datetime) -> dict[str, Any]:
    """The command that lets a device play a bulletin once; a device that does not know `kind` must ignore it."""
    return {
        "id": str(delivery),
        "kind": "play",
        "bulletin": str(bulletin),
        "url": sound.url,
        "sha256": sound.sha256,
        "seconds": sound.seconds,
        "expires_at": expires_at.isoformat(),
    }


def cancel_command(delivery: uuid.UUID, bulletin: uuid.UUID) -> dict[str, Any]:
    """The command that lets a device stop or forget the bulletin of an earlier command."""
    return {"id": str(delivery), "kind": "cancel", "bulletin": str(bulletin)}


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound to fetch: where, its SHA-256 in hex, its length in seconds."""

    url: str
    sha256: str
    seconds: int
