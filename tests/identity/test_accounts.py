"""Accounts: registration with consent, sign-in and its limits, roles on units, personal data out and away."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as events

from chassis.db import outbox_table
from chassis.service import origin
from services.identity import seed
from services.identity.accounts.model import Account, Consent, RoleGrant
from services.identity.app import service
from services.identity.settings import Settings
from tests.identity.people import CHEAP, SECRETS, Live, sign_in
from tests.support.running import Running, bearer, running, settings_for

ACCOUNTS = "/identity/api/v1/accounts"
DAI_SON = "30/298/11083"
LEADER = bearer(("leader", DAI_SON))
ADMIN = bearer(("admin", "30"))
HTML = {"accept": "text/html"}


async def post(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    if "xaso_csrf" not in browser.cookies:
        await browser.get("/identity/login", headers=HTML)
    data = {"csrf_token": browser.cookies["xaso_csrf"], **fields}
    return await browser.post(path, data=data, headers=HTML)


async def register(browser: httpx.AsyncClient, **changed: str) -> httpx.Response:
    form = {"name": "Phạm Thị Lý", "phone": "0912 345 678", "password": "lúa chín vàng", "unit": "11083"}
    return await post(browser, "/identity/register", **{**form, "consent": "1", **changed})


async def new_account(run: Running, **changed: Any) -> dict[str, Any]:
    body = {"name": "Vũ Văn Nam", "username": f"u{uuid.uuid4().hex[:10]}", "password": "một câu dài", "unit": "11083"}
    answer = await run.client.post(ACCOUNTS, json={**body, "role": "officer", **changed}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_resident_registers_signs_in_reads_and_erases_their_data(live: Live) -> None:
    async with live.browser() as browser:
        refused = await register(browser, consent="")
        assert refused.status_code == 422
        assert "Cần đồng ý" in refused.text
        assert "Phạm Thị Lý" in refused.text
        assert "lúa chín vàng" not in refused.text
        assert (await register(browser)).headers["location"] == "/identity/account"
        me = (await browser.get("/identity/api/v1/me")).json()
        assert [(g["role"], g["unit"]) for g in me["grants"]] == [("resident", "11083")]
        async with live.run.tx() as tx:
            account = await tx.get(Account, uuid.UUID(me["subject"]))
            assert account is not None
            assert account.phone_sealed is not None
            assert b"912345678" not in account.phone_sealed + (account.phone_index or b"")
            consent = (await tx.scalars(sa.select(Consent).where(Consent.account_id == account.id))).one()
            assert (consent.purpose, consent.withdrawn_at) == ("register", None)
        data = (await browser.get("/identity/account/export")).json()
        assert data["account"]["phone"] == "0912345678"
        assert data["consents"][0]["purpose"] == "register"
        assert (await register(browser, phone="+84912345678")).status_code == 409
    async with live.browser() as second:
        assert (await sign_in(second, "+84 912.345.678", "lúa chín vàng")).status_code == 303
        wrong = await post(second, "/identity/account/erase", password="sai rồi")
        assert wrong.status_code == 422
        gone = await post(second, "/identity/account/erase", password="lúa chín vàng")
        assert gone.headers["location"] == "/identity/login"
        assert "xaso_session" not in second.cookies
        assert (await sign_in(second, "0912345678", "lúa chín vàng")).status_code == 422
    async with live.run.tx() as tx:
        account = await tx.get(Account, uuid.UUID(me["subject"]))
        assert account is not None
        assert (account.name, account.phone_sealed, account.phone_index, account.password_hash) == ("", None, None, "")
        assert await tx.scalar(sa.select(RoleGrant.revoked_at).where(RoleGrant.account_id == account.id))
        assert await tx.scalar(sa.select(Consent.withdrawn_at).where(Consent.account_id == account.id))
        row = (await tx.execute(sa.select(outbox_table).where(outbox_table.c.subject == me["subject"]))).one()
    assert row.type == "xaso.identity.v1.ResidentErased"
    assert events.ResidentErased.FromString(row.payload).account_id == me["subject"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"phone": "12345"}, "10 chữ số"),
        ({"phone": "٠٩١٢٣٤٥٦٧٨"}, "10 chữ số"),
        ({"password": "ngắn"}, "8 đến 128"),
        ({"password": "matkhau123"}, "dễ đoán"),
        ({"phone": "0987654321", "password": "0987654321"}, "dễ đoán"),
        ({"name": "A\x00"}, "ký tự điều khiển"),
        ({"name": "x" * 121}, "120"),
    ],
)
async def test_bad_registrations_are_refused_beside_their_field(live: Live, changed: dict[str, str], said: str) -> None:
    async with live.browser() as browser:
        answer = await register(browser, **changed)
        assert answer.status_code == 422, answer.text
        assert said in answer.text


async def test_a_resident_cannot_register_in_a_district_or_nowhere(live: Live) -> None:
    async with live.browser() as browser:
        assert (await register(browser, unit="298", phone="0911111111")).status_code == 409
        assert (await register(browser, unit="nowhere", phone="0911111112")).status_code == 404


async def test_the_session_cookie_is_for_the_browser_only(live: Live) -> None:
    async with live.browser() as browser:
        answer = await sign_in(browser, "officer")
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("xaso_session="))
        flags = {f.strip().lower() for f in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/", "max-age=28800"} <= flags
        assert "secure" not in flags
        assert len(cookie) < 4096
        out = await post(browser, "/identity/logout")
        assert out.headers["location"] == "/identity/login"
        assert (await browser.get("/identity/api/v1/me")).status_code == 401


async def test_over_https_the_session_cookie_is_secure(database: Any) -> None:
    settings = settings_for(Settings, database("tls"), **CHEAP, public_url="https://xaso.test", jwks_json="")
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, {"officer": SECRETS["officer"]})
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=origin([run.runner])), base_url="https://xaso.test"
        ) as browser:
            answer = await sign_in(browser, "officer")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-xaso_session="))
    assert "secure" in {f.strip().lower() for f in cookie.split(";")}


async def test_wrong_and_unknown_are_told_alike_and_counted(live: Live) -> None:
    async with live.browser() as browser:
        wrong = await sign_in(browser, "leader", "không đúng đâu")
        unknown = await sign_in(browser, "khongcoai", "không đúng đâu")
        assert wrong.status_code == unknown.status_code == 422
        said = "Tên đăng nhập, số điện thoại hoặc mật khẩu chưa đúng."
        assert said in wrong.text
        assert said in unknown.text
        for _ in range(4):
            assert (await sign_in(browser, "leader", "không đúng đâu")).status_code == 422
        blocked = await sign_in(browser, "leader")
        assert blocked.status_code == 429, "the right password does not open a throttled account"
        assert "Xin đợi" in blocked.text
        assert (await sign_in(browser, "producer")).status_code == 303, "others sign in meanwhile"


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ("/petitions/report?unit=11083", "/petitions/report?unit=11083"),
        ("https://evil.example/", "/identity/account"),
        ("//evil.example/", "/identity/account"),
        ("/\\evil.example", "/identity/account"),
        ("javascript:alert(1)", "/identity/account"),
        ("/a\r\nset-cookie: x=1", "/identity/account"),
    ],
)
async def test_signing_in_never_leads_to_another_origin(live: Live, wanted: str, got: str) -> None:
    async with live.browser() as browser:
        person = SECRETS["admin"]
        form = {"login": person["user"], "password": person["password"], "next": wanted}
        answer = await post(browser, "/identity/login", **form)
        assert (answer.status_code, answer.headers["location"]) == (303, got)


async def test_a_forged_sign_in_is_refused(live: Live) -> None:
    async with live.browser() as browser:
        person = SECRETS["admin"]
        data = {"login": person["user"], "password": person["password"]}
        assert (await browser.post("/identity/login", data=data, headers=HTML)).status_code == 403


async def test_a_person_changes_their_password(live: Live) -> None:
    async with live.browser() as browser:
        await register(browser, phone="0913333333")
        bad = await post(browser, "/identity/account/password", old="sai", password="câu mới dài hơn")
        assert bad.status_code == 422
        done = await post(browser, "/identity/account/password", old="lúa chín vàng", password="câu mới dài hơn")
        assert done.status_code == 303
        assert (await sign_in(browser, "0913333333", "câu mới dài hơn")).status_code == 303


async def test_a_leader_gives_and_takes_roles_in_the_own_commune(identity: Running) -> None:
    client = identity.client
    account = await new_account(identity)
    url = f"{ACCOUNTS}/{account['id']}"
    given = await client.post(f"{url}/grants", json={"role": "viewer", "unit": "11083"}, headers=LEADER)
    assert given.status_code == 201
    twice = await client.post(f"{url}/grants", json={"role": "viewer", "unit": "11083"}, headers=LEADER)
    assert twice.json() == given.json()
    assert len((await client.get(url, headers=LEADER)).json()["grants"]) == 2
    taken = await client.post(f"{url}/grants/{given.json()['id']}/revoke", headers=LEADER)
    assert taken.status_code == 200
    assert [g["role"] for g in (await client.get(url, headers=LEADER)).json()["grants"]] == ["officer"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"role": "admin", "unit": "11083"}, 403, "role_not_grantable"),
        ({"role": "leader", "unit": "11083"}, 403, "role_not_grantable"),
        ({"role": "officer", "unit": "11086"}, 403, "role_not_grantable"),
        ({"role": "viewer", "unit": "30"}, 403, "role_not_grantable"),
        ({"role": "village_head", "unit": "11083"}, 409, "role_not_here"),
        ({"role": "officer", "unit": "99999"}, 404, "unknown_unit"),
        ({"role": "partner", "unit": "11083"}, 422, "invalid"),
        ({"role": "officer", "unit": "1\x001"}, 422, "invalid"),
    ],
)
async def test_a_leader_gives_no_more_than_a_leader_may(
    identity: Running, body: dict[str, str], status: int, code: str
) -> None:
    account = await new_account(identity)
    answer = await identity.client.post(f"{ACCOUNTS}/{account['id']}/grants", json=body, headers=LEADER)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_accounts_of_another_commune_are_as_if_they_were_not(identity: Running) -> None:
    client = identity.client
    foreign = await new_account(identity, unit="11086", role="officer")
    url = f"{ACCOUNTS}/{foreign['id']}"
    held = foreign["grants"][0]["id"]
    body = {"role": "officer", "unit": "11083"}
    for answer in (
        await client.get(url, headers=LEADER),
        await client.post(f"{url}/grants", json=body, headers=LEADER),
        await client.post(f"{url}/grants/{held}/revoke", headers=LEADER),
        await client.get(f"/identity/accounts/{foreign['id']}", headers={**LEADER, **HTML}),
    ):
        assert answer.status_code == 404
    mine = await new_account(identity)
    crossed = await client.post(f"{ACCOUNTS}/{mine['id']}/grants/{held}/revoke", headers=LEADER)
    assert crossed.status_code == 404, "a grant is only reached through the account that holds it"
    listed = (await client.get(ACCOUNTS, params={"limit": 200}, headers=LEADER)).json()["items"]
    assert {g["unit"] for a in listed for g in a["grants"]} == {"11083"}
    for who in (bearer(("officer", DAI_SON)), bearer(("resident", DAI_SON))):
        assert (await client.get(ACCOUNTS, headers=who)).json()["items"] == []
        assert (await client.get(url, headers=who)).status_code == 404
    assert (await client.get(ACCOUNTS)).status_code == 401


async def test_an_admin_cannot_take_the_own_admin_role(identity: Running) -> None:
    account = await new_account(identity, role="admin", unit="30")
    me = bearer(("admin", "30"), subject=account["id"])
    url = f"{ACCOUNTS}/{account['id']}/grants/{account['grants'][0]['id']}/revoke"
    answer = await identity.client.post(url, headers=me)
    assert (answer.status_code, answer.json()["code"]) == (409, "own_admin")


async def test_an_account_holds_only_as_many_roles_as_a_cookie_carries(identity: Running) -> None:
    account = await new_account(identity)
    communes = (await identity.client.get("/identity/api/v1/units", params={"parent": "299", "limit": 50})).json()
    codes = [u["code"] for u in communes["items"]][:20]
    url = f"{ACCOUNTS}/{account['id']}/grants"
    statuses = [
        (await identity.client.post(url, json={"role": "officer", "unit": c}, headers=ADMIN)).status_code for c in codes
    ]
    assert statuses == [201] * 19 + [409]


async def test_accounts_are_paged_and_searched_without_marks(identity: Running) -> None:
    names = {(await new_account(identity, name=f"Đỗ Thị Hường {n}"))["name"] for n in range(3)}
    query: dict[str, Any] = {"q": "do thi huong", "limit": 2}
    first = (await identity.client.get(ACCOUNTS, params=query, headers=ADMIN)).json()
    rest = (await identity.client.get(ACCOUNTS, params={**query, "after": first["next"]}, headers=ADMIN)).json()
    assert {a["name"] for a in first["items"] + rest["items"]} == names
    assert rest["next"] is None


async def test_a_name_is_taken_once_and_personal_numbers_never_come_back(identity: Running) -> None:
    made = await new_account(identity, phone="0977777777", citizen_id="030123456789")
    body = {"name": "B", "username": made["username"], "password": "một câu dài", "unit": "11083", "role": "officer"}
    again = await identity.client.post(ACCOUNTS, json=body, headers=ADMIN)
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    number = {**body, "username": "khacten", "citizen_id": "030123456789"}
    assert (await identity.client.post(ACCOUNTS, json=number, headers=ADMIN)).json()["code"] == "citizen_taken"
    for bad in ({"username": "Có Dấu"}, {"username": None}, {"phone": "1"}, {"citizen_id": "12"}, {"password": "x"}):
        answer = await identity.client.post(ACCOUNTS, json={**body, "username": "khacten", **bad}, headers=ADMIN)
        assert answer.status_code == 422, (bad, answer.text)
    shown = await identity.client.get(f"{ACCOUNTS}/{made['id']}", headers=ADMIN)
    assert "977777777" not in shown.text
    assert "030123456789" not in shown.text


async def test_an_admin_sets_a_forgotten_password_and_locks_an_account(live: Live) -> None:
    async with live.browser() as resident, live.browser() as admin:
        await register(resident, phone="0944444444")
        me = (await resident.get("/identity/api/v1/me")).json()["subject"]
        await sign_in(admin, "admin")
        csrf = {"x-csrf-token": admin.cookies["xaso_csrf"]}
        url = f"{ACCOUNTS}/{me}"
        body = {"password": "câu mới tinh"}
        assert (await admin.post(f"{url}/password", json=body)).status_code == 403, "a cookie alone writes nothing"
        weak = await admin.post(f"{url}/password", json={"password": "ngắn"}, headers=csrf)
        assert weak.status_code == 422
        assert (await admin.post(f"{url}/password", json=body, headers=csrf)).status_code == 200
        assert await opens(live, "câu mới tinh")
        assert not await opens(live, "lúa chín vàng")
        assert (await admin.post(f"{url}/disable", headers=csrf)).json()["disabled"] is True
        assert not await opens(live, "câu mới tinh")
        assert (await admin.post(f"{url}/enable", headers=csrf)).json()["disabled"] is False
        assert await opens(live, "câu mới tinh")


async def opens(live: Live, password: str) -> bool:
    """Whether `password` opens the account of the test above."""
    async with live.browser() as browser:
        return (await sign_in(browser, "0944444444", password)).status_code == 303


async def test_nobody_sets_the_password_of_somebody_above(identity: Running) -> None:
    higher = await new_account(identity, role="admin", unit="11083")
    wider = await new_account(identity)
    url = f"{ACCOUNTS}/{wider['id']}/grants"
    more = {"role": "officer", "unit": "11086"}
    assert (await identity.client.post(url, json=more, headers=ADMIN)).status_code == 201
    itself = await new_account(identity, role="leader")
    for account, who in (
        (higher, LEADER),
        (wider, LEADER),
        (itself, bearer(("leader", DAI_SON), subject=itself["id"])),
    ):
        for path, body in (("password", {"password": "chiếm lấy nhé"}), ("disable", {}), ("enable", {})):
            answer = await identity.client.post(f"{ACCOUNTS}/{account['id']}/{path}", json=body, headers=who)
            assert (answer.status_code, answer.json()["code"]) == (403, "held_elsewhere")
    foreign = await new_account(identity, unit="11086")
    for path in ("password", "disable", "enable"):
        body = {"password": "chiếm lấy nhé"}
        answer = await identity.client.post(f"{ACCOUNTS}/{foreign['id']}/{path}", json=body, headers=LEADER)
        assert answer.status_code == 404
