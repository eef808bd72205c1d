"""Owns what the people, programs and devices of one commune do, one function for each thing that feeds its sheet.

Everybody comes as they really would: with the form of the sign-in page and a session, a program with client credentials
and gRPC, a loudspeaker over MQTT, a camera over RTSP, a phone by web push.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
from aiokafka import AIOKafkaProducer
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs
from xaso.observations.v1.events_pb2 import ObservationRecorded

from chassis.units import VIETNAM, today
from launcher import databases
from launcher.scenario import cameras, loudspeakers
from launcher.scenario.talk import until
from launcher.scenario.telecom import AREAS, telecom
from services.identity.oidc import operator as programs
from services.identity.units import operator as reorganisations
from tests.indicators.test_kafka import publish
from tests.journeys.place import ECOMMERCE, IDENTITY, MEDIA, PETITIONS, Place, comes_true, token_of
from tests.media.phones import Phone
from tests.support.camera import StreamingCamera, clip

TODAY = today()
BANK = "970405"


# What the staff and the people of the commune do.


async def keep_a_register_of_households(place: Place) -> None:
    ids = [await _household(place, village, number) for village in place.villages for number in ("1", "2")]
    totals = {"unit": place.commune, "households_in_all": 4, "offices": 2, "offices_located": 2}
    await place.officer.put(f"{IDENTITY}/households/totals", totals)
    place.kept["households"] = ids


async def _household(place: Place, village: str, number: str) -> str:
    body = {
        "unit": village,
        "number": number,
        "people": 4,
        "address": f"Số {number}, ngõ Đình",
        "digital_code": f"TS-{number}",
        "lat": 20.82,
        "lon": 106.4,
        "livelihood": "farming",
        "poverty": "none",
        "reviewed_year": TODAY.year,
    }
    return str((await place.officer.post(f"{IDENTITY}/households", body))["id"])


async def end_the_households_of_a_village(place: Place) -> None:
    for one in place.kept["households"][:2]:
        await place.officer.post(f"{IDENTITY}/households/{one}/end", {"why": "mistake"})


async def have_a_digital_team(place: Place) -> None:
    team = await place.officer.post(
        f"{IDENTITY}/teams", {"unit": place.villages[0], "name": "Tổ số Thượng Sơn", "member_count": 5}
    )
    evening = {"content": "cashless", "kind": "class", "participants": 20}
    await place.officer.post(f"{IDENTITY}/teams/{team['id']}/activities", evening)
    place.kept["team"] = team["id"]


async def dissolve_the_team(place: Place) -> None:
    await place.officer.post(f"{IDENTITY}/teams/{place.kept['team']}/dissolve")


async def be_listed_and_say_that_one_has_a_smartphone(place: Place) -> None:
    page, contact = "/identity/account", {"position": "Công chức", "phone": "02203812345", "consent": "1"}
    await place.officer.fill_in(page, f"{page}/contact", **contact)
    await place.officer.fill_in(page, f"{page}/smartphone", smartphone="yes")


async def leave_the_list(place: Place) -> None:
    await place.officer.fill_in("/identity/account", "/identity/account/contact/withdraw")
    await place.officer.fill_in("/identity/account", "/identity/account/smartphone", smartphone="no")


async def report_and_answer(place: Place) -> None:
    reporter = place.residents[0]
    for category in ("an_ninh", "moi_truong"):
        words = {"village": place.villages[0], "category": category, "description": "Đêm qua có người lạ đốt rơm rạ."}
        case = f"{PETITIONS}/petitions/{(await reporter.post(f'{PETITIONS}/petitions', words))['id']}"
        await place.officer.post(f"{case}/route", {"department": "cong_an" if category == "an_ninh" else "dia_chinh"})
        await place.officer.post(f"{case}/answer", {"text": "Xã đã kiểm tra và nhắc nhở."})
        await reporter.post(f"{case}/rate", {"rating": 4})


async def ask_what_people_want_to_learn(place: Place) -> None:
    body = {
        "commune": place.commune,
        "purpose": "learning_needs",
        "title": "Bà con muốn học gì?",
        "closes_on": TODAY.isoformat(),
        "questions": [{"kind": "scale", "text": "Bà con cần lớp tin học đến mức nào?"}],
    }
    poll = f"{PETITIONS}/polls/{(await place.officer.post(f'{PETITIONS}/polls', body))['id']}"
    await place.officer.post(f"{poll}/publish")
    await place.residents[0].put(f"{poll}/answer", {"answers": [{"question": 1, "choices": [5]}]})
    await place.officer.post(f"{poll}/close", {"reason": "Bà con đã trả lời đủ."})
    done = {"response": "Đã mở lớp tin học tối thứ Bảy.", "responded_on": TODAY.isoformat()}
    await place.officer.put(f"{poll}/response", done)


async def exchange_in_the_forum(place: Place) -> None:
    forum = f"{PETITIONS}/forum"
    begun = {"topic": "ntm", "title": "Ủ rác làm phân", "body": "Thôn tôi ủ rác.", "name": f"Người {place.villages[0]}"}
    first = await place.residents[0].post(f"{forum}/threads", begun)
    await place.officer.post(f"{forum}/posts/{first['id']}/moderate", {"action": "approve"})
    reply = {"body": "Xã tôi cũng làm.", "name": "Cán bộ Đại Sơn"}
    await place.elsewhere.post(f"{forum}/threads/{first['thread_id']}/posts", reply)
    place.kept["post"] = first


async def hide_the_thread(place: Place) -> None:
    path = f"{PETITIONS}/forum/threads/{place.kept['post']['thread_id']}/moderate"
    await place.officer.post(path, {"action": "hide", "reason": "Nội dung lặp lại."})


# Media: what reaches phones, what is heard and seen.


async def send_notices_to_a_phone(place: Place) -> None:
    phone = Phone(place.pushes.host)
    wanted = {"unit": place.villages[0], **phone.described}
    await place.residents[0].post(f"{MEDIA}/subscriptions", wanted)
    sent = []
    for topic in ("climate", "waste_calendar"):
        body = {"unit": place.commune, "topic": topic, "title": "Thông báo", "text": "Mời bà con xem."}
        sent.append((await place.officer.post(f"{MEDIA}/notices", body))["id"])
    await comes_true(lambda: _all_arrived(place, phone, 2), "the push service got no pushes")
    for arrived in place.pushes.of(phone):
        told = phone.read(arrived.body)
        receipt = {"push": told["push"], "ticket": told["ticket"]}
        answer = await place.residents[0].write(f"{MEDIA}/receipts", receipt)
        assert answer.is_success, answer.text
    place.kept["notices"] = sent


async def _all_arrived(place: Place, phone: Phone, count: int) -> bool:
    return len(place.pushes.of(phone)) == count


async def withdraw_the_notices(place: Place) -> None:
    for one in place.kept["notices"]:
        await place.officer.post(f"{MEDIA}/notices/{one}/withdraw")


async def be_heard(place: Place) -> None:
    """The loudspeakers of the first village play a bulletin to its end."""
    speakers = await loudspeakers.register(place.officer, place.villages[0])
    for known in speakers:
        device = loudspeakers.device(place.addresses, place.logins["device"], known, 0.0)
        await place.exits.enter_async_context(device)
    await loudspeakers.test_bulletin(place.officer, place.villages[0], speakers)
    place.kept["speakers"] = speakers


async def retire_the_loudspeakers(place: Place) -> None:
    for one in place.kept["speakers"]:
        await place.officer.post(f"{MEDIA}/loudspeakers/{one.id}/retire")


async def watch_with_cameras(place: Place) -> None:
    """One camera stands on the main road, the other one, at a public place, has a rule."""
    road, square = cameras.device(0), StreamingCamera(clip("live", frames=3))
    for spot, device in (("main_road", road), ("public_place", square)):
        await place.exits.enter_async_context(device)
        await cameras.register(place.officer, place.villages[0], spot, device)
    listed = await place.officer.all(f"{MEDIA}/cameras", unit=place.villages[0])
    camera = next(one["id"] for one in listed if one["place"] == "public_place")
    await place.officer.post(f"{MEDIA}/cameras/{camera}/rules", {"kind": "covered"})
    place.kept["camera"] = camera


async def take_the_camera_away(place: Place) -> None:
    await place.officer.post(f"{MEDIA}/cameras/{place.kept['camera']}/retire")


# Trade, visitors, money.


async def sell_a_product(place: Place) -> None:
    product, _ = await _product(place, "Chè lam Tái Sơn", ocop_stars=4, ocop_decision="12/QĐ-UBND")
    await place.officer.post(f"{product}/publish")
    await place.officer.post(f"{product}/mark-key", {"key_product": True})
    shop = {"channel": "shopee", "url": "https://shopee.vn/che-lam-tai-son"}
    place.kept["listing"] = f"{product}/listings/{(await place.officer.post(f'{product}/listings', shop))['id']}"


async def _product(place: Place, name: str, **more: Any) -> tuple[str, str]:
    """A draft of a new cooperative: its address, and the id of the cooperative."""
    cooperative = {"name": f"HTX {name}", "kind": "cooperative", "unit": place.commune}
    producer = await place.officer.post(f"{ECOMMERCE}/producers", cooperative)
    body = {"producer_id": producer["id"], "name": name, "unit": place.villages[0], **more}
    made = await place.officer.post(f"{ECOMMERCE}/products", body)
    return f"{ECOMMERCE}/products/{made['id']}", str(producer["id"])


async def end_the_listing(place: Place) -> None:
    await place.officer.post(f"{place.kept['listing']}/end")


async def receive_visitors(place: Place) -> None:
    point = {
        "name": "Vườn chè Tái Sơn",
        "kind": "garden",
        "unit": place.villages[0],
        "lat": 20.82,
        "lon": 106.4,
        "open_days": [1, 2, 3, 4, 5, 6, 7],
        "takes_bookings": True,
    }
    made = await place.officer.post(f"{ECOMMERCE}/tourism/points", point)
    place.kept["point"] = where = f"{ECOMMERCE}/tourism/points/{made['id']}"
    await place.officer.post(f"{where}/publish")
    visit = {"day": (TODAY + timedelta(days=1)).isoformat(), "people": 4, "name": "Bình", "phone": "0912345678"}
    await place.residents[1].post(f"{where}/bookings", visit)
    (asked,) = (await place.officer.get(f"{where}/bookings"))["items"]
    await place.officer.post(f"{where}/bookings/{asked['id']}/answer", {"accept": True})


async def close_the_point(place: Place) -> None:
    await place.officer.post(f"{place.kept['point']}/take-back")


async def trace_a_harvest(place: Place) -> None:
    product, producer = await _product(place, "Dưa lê Tái Sơn")
    season, harvest = TODAY - timedelta(days=90), TODAY - timedelta(days=2)
    field_ = {"producer_id": producer, "name": "Bãi Trên", "unit": place.villages[0]}
    plot = (await place.officer.post(f"{ECOMMERCE}/plots", field_))["id"]
    sown = {"day": season.isoformat(), "work": "sowing", "done_by": "households", "households": 3}
    await place.officer.post(f"{ECOMMERCE}/plots/{plot}/diary", sown)
    picked = {
        "product_id": product.rpartition("/")[2],
        "plots": [plot],
        "season_from": season.isoformat(),
        "harvested_on": harvest.isoformat(),
        "quantity": 900,
        "uom": "kg",
        "households": 3,
    }
    lot = f"{ECOMMERCE}/lots/{(await place.officer.post(f'{ECOMMERCE}/lots', picked))['code']}"
    packed = datetime.combine(harvest + timedelta(days=1), datetime.min.time(), VIETNAM).isoformat()
    await place.officer.post(f"{lot}/steps", {"kind": "packing", "at": packed, "place": "Kho hợp tác xã"})
    await place.officer.post(f"{lot}/publish")
    place.kept["lot"] = lot


async def recall_the_lot(place: Place) -> None:
    await place.officer.post(f"{place.kept['lot']}/recall", {"reason": "Phát hiện dư lượng thuốc."})


async def pay_through_the_bank(place: Place) -> None:
    """A household pays for the collection of its waste; nothing but the bank's notice says so."""
    village = place.villages[1]
    await _household(place, village, "009")
    payee = await place.officer.post(
        f"{ECOMMERCE}/payees",
        {
            "unit": place.commune,
            "name": "HTX môi trường",
            "service": "waste",
            "bank_bin": BANK,
            "account": "0011012345678",
            "holder": "HTX MOI TRUONG",
        },
    )
    wanted = {
        "period": TODAY.strftime("%Y-%m"),
        "due_on": (TODAY + timedelta(days=9)).isoformat(),
        "charges": [{"village": village, "number": "009", "amount": 30_000}],
    }
    path = f"{ECOMMERCE}/payees/{payee['id']}/charges"

    async def issued() -> Any:
        answer = await place.officer.write(path, wanted)
        return answer.json()["items"] if answer.is_success else None

    # The household is on its way from identity.
    (charge,) = await until(issued, lambda: "ecommerce does not know the household")
    place.kept["payment"] = await _transfer(place, "0011012345678", 30_000, charge["code"])


async def give_the_money_back(place: Place) -> None:
    path = f"{ECOMMERCE}/bank-notices/{place.kept['payment']}/refund"
    await place.officer.post(path, {"amount": 30_000, "reason": "Thu nhầm hộ."})


async def prove_that_a_shop_takes_transfers(place: Place) -> None:
    shop = {"unit": place.commune, "name": "Quán phở Tái Sơn", "registration": "0801234567"}
    account_ = {"bank_bin": BANK, "account": "0022012345678", "holder": "QUAN PHO"}
    made = await place.officer.post(f"{ECOMMERCE}/businesses", {**shop, **account_})
    await _transfer(place, "0022012345678", 1_000, made["code"])
    place.kept["shop"] = f"{ECOMMERCE}/businesses/{made['id']}"


async def hear_that_it_takes_none(place: Place) -> None:
    await place.officer.patch(place.kept["shop"], {"online_since": None})


async def _transfer(place: Place, account_: str, amount: int, code: str) -> str:
    """The bank's program says what arrived."""
    notice = {
        "bank_bin": BANK,
        "account": account_,
        "transaction_id": f"FT{secrets.token_hex(6)}",
        "amount": amount,
        "description": f"CT DEN {code}",
        "paid_at": datetime.now(UTC).isoformat(),
    }
    token = await token_of(place, place.logins["partner"])
    async with httpx.AsyncClient(base_url=place.addresses.web, timeout=30, trust_env=False) as bank:
        answer = await bank.post(f"{ECOMMERCE}/bank-notices", json=notice, headers={"authorization": f"Bearer {token}"})
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


# Programs, and the order of units.


async def measure_the_signal(place: Place) -> None:
    """The telecom company streams what it measured in the first village."""
    async with telecom(place.addresses, place.logins["partner"], place.villages[0]) as company:
        await company.coverage(AREAS)


async def publish_what_a_register_knows(place: Place) -> None:
    """A company's bridge writes to the topic of observations: one figure of each village."""
    producer = AIOKafkaProducer(bootstrap_servers=place.addresses.kafka)
    await producer.start()
    try:
        for village in place.villages:
            message = ObservationRecorded(unit=village, measure="village.mobile_broadband_area", evidence="Đo vùng phủ")
            message.ratio.numerator, message.ratio.denominator = 19, 20
            message.observed_at.GetCurrentTime()
            await publish(producer, "", message, f"do-{village}", 1)
    finally:
        await producer.stop()


async def read_as_the_province(place: Place) -> None:
    """The operator registers the program of the province, and that reads the sheet of the commune."""
    client = f"ioc-{place.commune}"
    said = [client, "--name", "Trung tâm điều hành tỉnh", "--role", "viewer", "--unit", "30"]
    made = await asyncio.to_thread(_add_program, place, [*said, "--scope", "indicators.read"])
    token = await token_of(place, {"client_id": client, "client_secret": made})
    async with grpc.aio.insecure_channel(place.addresses.grpc["indicators"]) as channel:
        service = stubs.ComplianceServiceStub(channel)

        async def read() -> bool | None:
            asked = pb.GetRequest(unit=place.commune, set="mard-2023-smart-commune")
            sheet = await service.Get(asked, timeout=30, metadata=(("authorization", f"Bearer {token}"),))
            return any(item.HasField("value") for item in sheet.items) or None

        # Reading a sheet on which nothing is known yet shares nothing.
        await until(read, lambda: "the sheet stays empty")


def _add_program(place: Place, arguments: list[str]) -> str:
    told: list[str] = []
    code = programs.main(arguments, lambda: databases.settings_of("identity", place.data), told.append)
    assert code == 0
    return told[0]


MERGED, INTO = "11101", "11110"
"""Xã Quang Phục and xã Dân Chủ of the same district."""


async def merge_two_communes(place: Place) -> None:
    """The operator applies a reorganisation of today: both go over whole, and with them what their staff said."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for code, points in ((MERGED, 3), (INTO, 2)):
        body = {"unit": code, "measure": "commune.wifi_points", "value": {"numerator": points, "denominator": 4}}
        # Of the day before: what is observed on the day of the merger is already of the new commune.
        said = {**body, "evidence": {"document": "12/BC-UBND"}, "observed_at": yesterday.isoformat()}
        await place.admin.post("/indicators/api/v1/observations", said)
    file = place.data.parent / "merger.yaml"
    file.write_text(
        f"""
format: xaso-units/1
id: quang-phuc-dan-chu
title: "Nhập xã Quang Phục vào xã Dân Chủ"
effective_on: {TODAY.isoformat()}
legal_basis: "15/NQ"
units: [{{code: "{INTO}", name: "Xã Dân Chủ", level: commune, kind: xa, parent: "298"}}]
links: [{{from: "{MERGED}", to: "{INTO}"}}, {{from: "{INTO}", to: "{INTO}"}}]
""",
        encoding="utf-8",
    )
    code = await asyncio.to_thread(
        reorganisations.main, ["apply", str(file)], lambda: databases.settings_of("identity", place.data)
    )
    assert code == 0
