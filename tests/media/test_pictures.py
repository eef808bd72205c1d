"""What is seen in recordings, and what of a camera's own description is believed."""

from __future__ import annotations

import asyncio
import base64
import random
import re
import struct
import uuid

import pytest

from services.media.cameras.address import parse
from services.media.cameras.rtsp import NotRtsp
from services.media.watching import pictures
from services.media.watching.capture import NoPicture, Recording, Track, capture, track_of
from services.media.watching.model import Kind, Point
from services.media.watching.packets import Unit, opens, units
from services.media.watching.pictures import Question, Seen, examine
from tests.support.camera import StreamingCamera, clip, packets

# In the scene "walk" somebody goes from the left edge of the picture to two fifths of its width, at middle height.
LEFT: tuple[Point, ...] = ((0, 0), (50, 0), (50, 100), (0, 100))
LINES: dict[str, tuple[Point, ...]] = {
    "crossed": ((25, 0), (25, 100)),
    "crossed aslant": ((10, 100), (40, 0)),
    "beside the way": ((0, 90), (100, 90)),
    "not reached": ((70, 0), (70, 100)),
    "too short": ((25, 0), (25, 20)),
}


def see(scene: str, *questions: Question, seed: int = 1, before: bytes | None = None) -> Seen:
    return examine(Recording("H264", "", [*packets(clip(scene, seed))]), questions, before)


def ask(kind: Kind, drawing: tuple[Point, ...] = (), share: int = 5, *, awake: bool = True) -> Question:
    return Question(uuid.uuid4(), kind, drawing, share, awake)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
async def test_both_encodings_of_cameras_are_decoded(codec: str) -> None:
    async with StreamingCamera(clip("live", codec=codec), codec=codec, username="admin", password="bi-mat") as camera:
        seen = examine(await record(camera), [], None)
    assert seen.decoded


async def record(camera: StreamingCamera, *, seconds: float = 1.0, most_bytes: int = 1_000_000) -> Recording:
    return await capture(
        parse(camera.url, loopback=True), seconds=seconds, most_bytes=most_bytes, timeout=1.0, loopback=True
    )


def test_motion_counts_where_the_zone_is_and_when_it_is_awake() -> None:
    here, elsewhere = ask(Kind.ZONE, LEFT), ask(Kind.ZONE, ((60, 0), (100, 0), (100, 100), (60, 100)))
    much, asleep = ask(Kind.ZONE, LEFT, 60), ask(Kind.ZONE, LEFT, awake=False)
    seen = see("walk", here, elsewhere, much, asleep)
    assert [seen.found[q.rule] for q in (here, elsewhere, much, asleep)] == [True, False, False, False]
    assert [*seen.snapshots] == [here.rule]


@pytest.mark.parametrize("scene", ["live", "lamp", "covered"])
def test_noise_and_a_lamp_that_is_switched_on_are_no_motion(scene: str) -> None:
    zone, line = ask(Kind.ZONE, LEFT, 1), ask(Kind.LINE, LINES["crossed"])
    assert see(scene, zone, line).found == {zone.rule: False, line.rule: False}


def test_a_line_is_crossed_by_who_goes_over_it() -> None:
    asked = {name: ask(Kind.LINE, line) for name, line in LINES.items()}
    seen = see("walk", *asked.values())
    assert [name for name, question in asked.items() if seen.found[question.rule]] == ["crossed", "crossed aslant"]


def test_a_frozen_picture_is_the_same_bit_for_bit() -> None:
    frozen = ask(Kind.FROZEN)
    first = see("live", frozen)
    assert first.found == {}, "nothing to compare with"
    assert see("live", frozen, before=first.fingerprint).found == {frozen.rule: True}
    assert see("live", frozen, seed=2, before=first.fingerprint).found == {frozen.rule: False}


BROKEN = {
    "nothing": lambda packet: b"",
    "zeros": lambda packet: bytes(len(packet)),
    "cut off": lambda packet: packet[:13],
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_stream_is_no_picture_and_no_error(fault: str) -> None:
    missing, covered = ask(Kind.NO_PICTURE), ask(Kind.COVERED)
    sent = [BROKEN[fault](packet) for packet in packets(clip("live"))]
    seen = examine(Recording("H264", "", sent), [missing, covered], None)
    assert (seen.decoded, seen.found) == (False, {missing.rule: True})


async def test_a_camera_without_end_is_left_after_its_time() -> None:
    async with StreamingCamera(clip("live", frames=3)) as camera:
        camera.stays = True
        async with asyncio.timeout(10):
            assert examine(await record(camera, seconds=0.2), [], None).decoded
            size = sum(map(len, (await record(camera, seconds=60, most_bytes=2_000)).packets))
            assert 2_000 <= size < 4_000, "nor is more taken than was agreed"
        camera.mute = True
        with pytest.raises(NoPicture, match="timeout"):
            await record(camera)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
async def test_a_camera_that_begins_in_the_middle_is_waited_for(codec: str) -> None:
    async with StreamingCamera(clip("live", codec=codec, frames=3), codec=codec) as camera:
        camera.late = 0.3
        assert examine(await record(camera, seconds=0.1), [], None).decoded


async def test_what_came_before_a_camera_talks_nonsense_is_a_picture() -> None:
    async with StreamingCamera(clip("live", frames=3)) as camera:
        camera.babbles = True
        assert examine(await record(camera), [], None).decoded


async def test_a_camera_may_play_before_it_answers_and_where_it_likes() -> None:
    async with StreamingCamera(clip("live", frames=3)) as camera:
        camera.eager, camera.channel = 1, 2
        assert examine(await record(camera), [], None).decoded
        camera.eager = 100
        with pytest.raises(NoPicture, match="not_rtsp"):
            await record(camera)


async def test_a_session_that_is_no_word_is_refused() -> None:
    async with StreamingCamera(clip("live", frames=1)) as camera:
        camera.session = "47 11"
        with pytest.raises(NoPicture, match="refused"):
            await record(camera)


@pytest.mark.parametrize(
    ("encoding", "opening", "other"),
    [
        (
            "H264",
            ["65aabbccdd", "67aabbccdd", "18000567aabb", "7c85aabbcc"],
            ["41aabbccdd", "18000541aabb", "7c81aabbcc"],
        ),
        (
            "H265",
            ["2601aabbcc", "4001aabbcc", "600100054001", "620193aabb"],
            ["0201aabbcc", "600100050201", "620181aabb"],
        ),
    ],
)
def test_a_picture_that_stands_alone_is_known_by_its_kind(encoding: str, opening: list[str], other: list[str]) -> None:
    seen = [said for said in (*opening, *other) if opens(encoding, rtp(1, 0, bytes.fromhex(said)))]
    assert seen == opening
    assert not opens(encoding, rtp(1, 0, b"\x7c"))


def test_a_look_is_over_when_enough_was_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Recording("H264", "", [*packets(clip("walk"))])
    line = ask(Kind.LINE, LINES["crossed"])
    monkeypatch.setattr(pictures, "MOST_DECODED", 3 * 320 * 180)
    assert examine(sent, [line], None).found == {line.rule: False}
    monkeypatch.setattr(pictures, "LEAST_DECODED", 3 * 320 * 180 + 1)
    assert not examine(sent, [line], None).decoded, "small pictures have their price"


def test_a_picture_beyond_all_size_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 320 * 180 - 1)
    assert not see("live").decoded


def test_covered_is_covered_all_the_time() -> None:
    covered = ask(Kind.COVERED)
    assert [see(scene, covered).found[covered.rule] for scene in ("covered", "wink", "live")] == [True, False, False]


def test_a_kept_picture_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SNAPSHOT_WIDTH", 161)
    covered = ask(Kind.COVERED)
    frame = see("covered", covered).snapshots[covered.rule].partition(b"\xff\xc0")[2]
    assert struct.unpack(">HH", frame[3:7]) == (90, 160)


def test_a_fly_is_nobody_who_crosses() -> None:
    line = ask(Kind.LINE, LINES["crossed"])
    assert see("fly", line).found == {line.rule: False}


def test_pictures_that_follow_too_closely_are_one() -> None:
    zone = ask(Kind.ZONE, LEFT)
    hurried = [p[:4] + struct.pack(">I", int.from_bytes(p[4:8], "big") // 10) + p[8:] for p in packets(clip("walk"))]
    seen = examine(Recording("H264", "", hurried), [zone], None)
    assert (seen.decoded, seen.found) == (True, {}), "a fifth of a second apart they are judged"


def test_of_one_picture_nobody_knows_whether_it_moves() -> None:
    awake, asleep, line = ask(Kind.ZONE, LEFT), ask(Kind.ZONE, LEFT, awake=False), ask(Kind.LINE, LINES["crossed"])
    seen = examine(Recording("H264", "", [*packets(clip("live", frames=1))]), [awake, asleep, line], None)
    assert (seen.decoded, seen.found) == (True, {asleep.rule: False})


def test_parameters_may_stand_in_the_description_alone() -> None:
    pictures = clip("live")
    nals = [nal for nal in re.split(rb"\x00\x00\x00?\x01", pictures[0]) if nal]
    told = [nal for nal in nals if nal[0] & 0x1F in (7, 8)]
    bare = [b"".join(b"\x00\x00\x00\x01" + nal for nal in nals if nal not in told), *pictures[1:]]
    line = "a=fmtp:96 sprop-parameter-sets=" + ",".join(base64.b64encode(nal).decode() for nal in told)
    sent = [*packets(bare)]
    assert not examine(Recording("H264", "", sent), [], None).decoded
    assert not examine(Recording("H264", "a=fmtp:96 sprop-parameter-sets=%%%,AAA", sent), [], None).decoded
    assert examine(Recording("H264", line, sent), [], None).decoded


@pytest.mark.parametrize(("encoding", "head"), [("H264", b"\x18"), ("H265", b"\x60\x01")])
def test_several_units_may_come_in_one_packet_and_packets_may_carry_more(encoding: str, head: bytes) -> None:
    nals = [b"\x07abc", b"\x08de"] if encoding == "H264" else [b"\x40\x01abc", b"\x42\x01de"]
    together = head + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)
    plain = rtp(1, 4_294_967_290, together)
    # One source more, an extension of one word, three bytes of padding; and the time stamp turns over.
    rich = bytes([0xB1]) + rtp(2, 10, b"")[1:] + b"src1" + b"\xbe\xde\x00\x01ext1" + nals[0] + b"\x00\x00\x03"
    found = [*units(encoding, "", [plain, rich, rtp(3, 10, head + b"\xff\xff" + nals[0])])]
    start = b"\x00\x00\x00\x01"
    assert found == [Unit(0, start + start.join(nals)), Unit(16, start + nals[0])]


def test_a_picture_that_lacks_a_piece_is_passed_over() -> None:
    sent = [rtp(n, 0, bytes([0x7C, mark]) + b"xx") for n, mark in ((1, 0x85), (2, 0x05), (4, 0x45))]
    assert [*units("H264", "", sent)] == []
    whole = [rtp(n, 0, bytes([0x7C, mark]) + b"xx") for n, mark in ((65_535, 0x85), (0, 0x05), (1, 0x45))]
    assert [*units("H264", "", whole)] == [Unit(0, b"\x00\x00\x00\x01\x65xxxxxx")]


def rtp(sequence: int, at: int, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, 96, sequence, at, 7) + payload


def test_what_is_no_stream_never_holds_the_decoder_up() -> None:
    chance = random.Random(1)
    good = [*packets(clip("walk"))]
    for _ in range(30):
        sent = [bytes(chance.choices(range(256), k=chance.randrange(60))) for _ in range(20)]
        for packet in good:
            spoiled = bytearray(packet)
            for _ in range(chance.randrange(4)):
                spoiled[chance.randrange(12, len(spoiled))] = chance.randrange(256)
            sent.append(bytes(spoiled) + bytes(chance.choice((0, 0, 30_000))))
        examine(Recording(chance.choice(("H264", "H265")), "", sent), [ask(Kind.ZONE, LEFT)], None)


BASE = "rtsp://10.0.0.7:554/live"
VIDEO = (
    b"v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:a\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\n"
)


def test_of_a_description_only_the_first_track_of_pictures_is_read() -> None:
    said = VIDEO + b"a=fmtp:96 packetization-mode=1\r\nc=IN IP4 169.254.169.254\r\nm=video 0 RTP/AVP 97\r\na=control:w"
    assert track_of(said, BASE) == Track(f"{BASE}/v", "H264", "a=fmtp:96 packetization-mode=1")
    absolute = track_of(VIDEO.replace(b"control:v", b"control:rtsp://10.0.0.9/x"), BASE)
    assert absolute is not None
    assert absolute.control == "rtsp://10.0.0.9/x", "said to the camera, never dialled"


@pytest.mark.parametrize(
    "said",
    [
        b"v=0\r\n",
        VIDEO.replace(b"H264", b"MP2T"),
        VIDEO.replace(b"AVP 96", b"AVP x"),
        VIDEO.replace(b"rtpmap:96", b"x"),
    ],
)
def test_what_we_cannot_decode_is_no_video(said: bytes) -> None:
    assert track_of(said, BASE) is None


def test_an_address_that_would_forge_a_request_is_refused() -> None:
    with pytest.raises(NotRtsp):
        track_of(VIDEO.replace(b"control:v", b"control:v RTSP/1.0\tX: y"), BASE)
