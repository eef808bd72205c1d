"""Owns the probe of a camera: is it there, does it let us in, has it a picture to give.

It only ever asks DESCRIBE: no stream is set up, nothing is recorded, and nothing of the answer leaves this module but a
fixed word.
"""

from __future__ import annotations

import asyncio
import enum
import re
import time
from dataclasses import dataclass

from services.media.cameras.address import CameraAddress
from services.media.cameras.rtsp import (
    Answer,
    HostForbidden,
    HostUnknown,
    NoAnswerToChallenge,
    NotRtsp,
    conversation,
)


class Result(enum.StrEnum):
    """What a probe found; only OK is a success."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    NOT_RTSP = "not_rtsp"
    NO_VIDEO = "no_video"
    FORBIDDEN_ADDRESS = "forbidden_address"
    UNKNOWN_HOST = "unknown_host"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Probe:
    """The outcome of one probe and how long it took."""

    result: Result
    milliseconds: int

    @property
    def ok(self) -> bool:
        return self.result is Result.OK


async def probe(address: CameraAddress, *, timeout: float, loopback: bool) -> Probe:  # noqa: ASYNC109 - it is a deadline of the protocol, part of the result.
    """Ask one camera for its description; never raises for what a camera does."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout), conversation(address, loopback=loopback) as camera:
            result = judge(await camera.ask("DESCRIBE", address.request_uri, "Accept: application/sdp"))
    except Exception as error:
        result = result_of(error)
    return Probe(result, int((time.monotonic() - began) * 1000))


def judge(answer: Answer) -> Result:
    """What a camera's answer to DESCRIBE says."""
    match answer.status:
        case 200:
            return Result.OK if re.search(rb"(?m)^m=video ", answer.body) else Result.NO_VIDEO
        case 401 | 403:
            return Result.UNAUTHORIZED
        case 404 | 454:
            return Result.NOT_FOUND
        case _:
            return Result.REFUSED


def result_of(error: Exception) -> Result:
    """The word for what went wrong in a conversation; raises `error` again where a camera cannot be the cause."""
    match error:
        case TimeoutError():
            return Result.TIMEOUT
        case HostUnknown():
            return Result.UNKNOWN_HOST
        case HostForbidden():
            return Result.FORBIDDEN_ADDRESS
        case NoAnswerToChallenge():
            return Result.UNAUTHORIZED
        case OSError() | asyncio.IncompleteReadError():
            return Result.UNREACHABLE
        case NotRtsp() | asyncio.LimitOverrunError() | ValueError():
            return Result.NOT_RTSP
        case _:
            raise error
