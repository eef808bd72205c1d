"""The RTSP probe against real servers, and which addresses it may ever dial."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chassis.errors import DomainError
from launcher.devices import SimulatedCamera
from services.media.cameras.address import CameraAddress, parse
from services.media.cameras.model import BadAddress, ForbiddenAddress
from services.media.cameras.probe import Result, probe


async def look(url: str, *, timeout: float = 5.0, loopback: bool = True) -> Result:  # noqa: ASYNC109 - it is the probe's own.
    return (await probe(parse(url, loopback=True), timeout=timeout, loopback=loopback)).result


async def test_a_camera_that_answers_is_seen() -> None:
    async with SimulatedCamera() as camera:
        assert await look(camera.url) is Result.OK


@pytest.mark.parametrize("basic", [False, True])
async def test_a_camera_with_a_password_is_seen_with_it_only(basic: bool) -> None:
    async with SimulatedCamera(username="admin", password="mat-khau", basic=basic) as camera:
        assert await look(camera.url) is Result.OK
        assert await look(camera.url.replace("mat-khau", "sai")) is Result.UNAUTHORIZED
        assert await look(f"rtsp://127.0.0.1:{camera.port}/live") is Result.UNAUTHORIZED


async def test_what_is_wrong_has_a_name() -> None:
    async with SimulatedCamera() as camera:
        assert await look(f"{camera.url}-other") is Result.NOT_FOUND
        camera.without_video = True
        assert await look(camera.url) is Result.NO_VIDEO
        camera.refuse = True
        assert await look(camera.url) is Result.REFUSED
        camera.silent = True
        assert await look(camera.url, timeout=0.1) is Result.TIMEOUT
        url = camera.url
    assert await look(url) is Result.UNREACHABLE
    assert await look("rtsp://no-such-host.invalid/live") is Result.UNKNOWN_HOST


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[str]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Result.NOT_RTSP),
        (b"\x00\xff" * 40_000, Result.NOT_RTSP),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n", Result.NOT_RTSP),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", Result.NOT_RTSP),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nm=", Result.UNREACHABLE),
        (b"RTSP/1.0 200 OK\r\n\r\n", Result.NO_VIDEO),
        (b"", Result.UNREACHABLE),
    ],
)
async def test_a_server_that_is_no_camera_does_no_harm(reply: bytes, result: Result) -> None:
    async with answering(reply) as url:
        assert await look(url) is result


async def test_an_address_is_checked_again_when_it_is_dialled() -> None:
    async with SimulatedCamera() as camera:
        target = CameraAddress("localhost", camera.port, camera.url)
        assert (await probe(target, timeout=2, loopback=False)).result is Result.FORBIDDEN_ADDRESS
        assert camera.described == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://10.0.0.1/live",
        "rtsps://10.0.0.1/live",
        "file:///etc/passwd",
        "rtsp://",
        "rtsp:///live",
        "rtsp://10.0.0.1:0/live",
        "rtsp://10.0.0.1:99999/live",
        "rtsp://10.0.0.1:abc/live",
        "rtsp://10.0.0.1/live\r\nX: y",
        "rtsp://10.0.0.1/live\x00",
        "rtsp://10.0.0.1/đường",
        "rtsp://user:a%0d%0ab@10.0.0.1/live",
        'rtsp://user:a%22b@10.0.0.1/"live',
        "rtsp://10.0.0.1/a b",
        "rtsp://10.0.0.1/a#b",
        "rtsp://[10.0.0.1/live",
        "rtsp://2130706433/live",
        "rtsp://0x7f.1/live",
        "rtsp://127.1/live",
        "rtsp://" + "a" * 600,
    ],
)
def test_malformed_addresses_are_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        parse(url, loopback=False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "localhost",
        "camera.localhost",
        "169.254.169.254",
        "169.254.1.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104 - it is refused, not bound.
        "[::]",
        "224.0.0.1",
        "240.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[2002:7f00:1::]",
        "metadata.google.internal",
        "METADATA",
    ],
)
def test_addresses_that_are_no_cameras_are_refused(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        parse(f"rtsp://{host}/live", loopback=False)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.20", "172.16.0.9", "[fd12::1]", "203.113.131.1", "cam-1.dai-son.vn"]
)
def test_cameras_on_networks_are_allowed(host: str) -> None:
    assert parse(f"rtsp://{host}:8554/live?channel=1", loopback=False).port == 8554


def test_no_error_and_no_representation_repeats_the_password() -> None:
    address = parse("rtsp://admin:bi-mat@10.0.0.1/live?token=bi-mat", loopback=False)
    assert "bi-mat" not in repr(address)
    with pytest.raises(DomainError) as refused:
        parse("rtsp://admin:bi-mat@127.0.0.1/live", loopback=False)
    assert "bi-mat" not in str(refused.value) + repr(refused.value)
