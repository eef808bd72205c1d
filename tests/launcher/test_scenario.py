"""What of the demonstration can be judged without a platform; tests/journeys plays it on a real one."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
import yaml
from PIL import Image

from launcher import processes
from launcher.addresses import Addresses
from launcher.datadir import DataDir
from launcher.scenario import ScenarioFailed, Step, pictures, play, story, talk
from launcher.scenario.sheet import SET, Row

ROOT = Path(__file__).resolve().parents[2]


def test_the_story_ends_every_criterion_of_the_set() -> None:
    definition = yaml.safe_load((ROOT / f"services/indicators/data/sets/{SET}.yaml").read_text("utf-8"))
    assert list(story.EXPECTED) == [item["code"] for item in definition["items"]]
    assert [code for code, status in story.EXPECTED.items() if status != "met"] == ["288.9"]


@pytest.mark.parametrize(
    ("value", "figure"),
    [
        (None, ""),
        ({"flag": True}, "có"),
        ({"flag": False}, "không"),
        ({"count": 0}, "0"),
        ({"numerator": 40, "denominator": 50}, "40/50"),
    ],
)
def test_a_value_is_written_as_people_write_it(value: dict[str, object] | None, figure: str) -> None:
    assert Row("288.5", "unmet", value, "").figure == figure


def test_a_step_says_who_did_what_and_what_came_of_it() -> None:
    assert str(Step("officer", "entered Thôn 2")) == "officer: entered Thôn 2"
    turned = Step("telecom partner", "40 of 50", "288.5", "unmet", "40/50", 1, 9)
    assert str(turned) == "telecom partner: 40 of 50  →  288.5 unmet (40/50), 1/9 met"


async def test_a_status_that_never_comes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "PATIENCE_SECONDS", 0.2)
    looks = []

    async def look() -> bool | None:
        looks.append(len(looks))
        return None

    with pytest.raises(ScenarioFailed, match=r"288\.5 should be met"):
        await talk.until(look, lambda: "288.5 should be met")
    assert len(looks) > 1


async def test_what_stands_in_an_address_is_asked_for_with_it() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200)

    async with httpx.AsyncClient(base_url="http://nowhere", transport=httpx.MockTransport(answer)) as http:
        visitor = talk.Visitor(http, "officer")
        await visitor.ask("/petitions?unit=11083-01")
        await visitor.ask("/petitions", unit="11083-01", q=None)
    assert asked == ["/petitions?unit=11083-01"] * 2


async def test_a_platform_that_is_not_there_ends_the_story_with_words(tmp_path: Path) -> None:
    logins = DataDir(tmp_path).secrets().logins
    nowhere = Addresses(web=f"http://127.0.0.1:{processes.free_port()}")
    with pytest.raises(ScenarioFailed, match="GET /identity/login: ConnectError"):
        await play(nowhere, logins, 0.0, lambda step: None)


def test_the_photo_of_the_petition_says_where_it_was_taken_so_that_the_service_has_something_to_remove() -> None:
    photo = Image.open(io.BytesIO(pictures.petition_photo()))
    assert photo.size == pictures.SIZE
    assert photo.getexif().get_ifd(pictures.GPS_IFD)[2] == (20.0, 49.0, 0.0)


@pytest.mark.parametrize("picture", pictures.Picture)
def test_product_photos_are_pictures_without_a_position(picture: pictures.Picture) -> None:
    photo = Image.open(io.BytesIO(pictures.product_photo(picture)))
    assert photo.format == "JPEG"
    assert len(photo.getexif()) == 0
    colours = photo.convert("RGB").getcolors(photo.width * photo.height)
    assert colours is not None
    assert len(colours) > 1000


def test_a_free_port_is_none_that_an_outgoing_connection_can_be_given() -> None:
    ports = {processes.free_port() for _ in range(20)}
    assert all(port in processes.SERVER_PORTS and processes.bindable(port) for port in ports)
    assert processes.SERVER_PORTS.stop < 32_768
