"""Sending a petition: photo, place, one sentence. Without JavaScript, on a telephone, and over a sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile
from starlette.requests import Request

from chassis import units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import DomainError
from chassis.problems import validation_fields
from chassis.units import Unit
from chassis.web import MaybeMe, Me, MiB, Page, PageRouter, Tx
from services.petitions import access, commands, drafts, photos, queries, sla
from services.petitions.commands import FilePetition
from services.petitions.drafts import Kept
from services.petitions.model import MAX_DESCRIPTION, MAX_PHOTOS, Petition, PetitionNotFound, TooManyPhotos
from services.petitions.photos import CleanPhoto
from services.petitions.texts import CategoryCode, CommuneCode, Description, Phone, Place, VillageCode, Words
from services.petitions.web import views

pages = PageRouter(templates=views.TEMPLATES)

DRAFT_COOKIE = "xaso_petition_draft"
FALLBACK_CATEGORY = "khac"
MAX_KEPT = 2 * MAX_DESCRIPTION
"""Most characters of one field in a draft: a text that is too long comes back to be shortened, not endlessly."""
_KEPT_FIELDS = ("commune", "village", "place", "description", "category", "lat", "lon", "contact_phone", "public")


class ReportForm(BaseModel):
    """What the form asks. An unticked box and an empty field are both absent."""

    commune: CommuneCode
    village: VillageCode | None = None
    place: Place = ""
    description: Description
    category: CategoryCode = FALLBACK_CATEGORY
    lat: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    lon: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    contact_phone: Phone | None = None
    public: bool = False


async def _commune(tx: AsyncSession, me: Principal | None, code: str | None) -> Unit | None:
    """The commune a report goes to: the one asked for (or that of the village asked for), else the writer's own."""
    home = me.home if me else None
    unit = await units.find(tx, code or (home.unit if home else ""))
    if unit is None or unit.level not in ("commune", "village"):
        return None
    return unit if unit.level == "commune" else await units.find(tx, unit.commune)


async def _form(
    page: Page,
    tx: AsyncSession,
    commune: Unit,
    typed: dict[str, Any],
    *,
    kept_photos: int = 0,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    villages = await units.children(tx, commune.code)
    return page.render(
        "report.html",
        status=status,
        errors=_plainly(errors or {}, page),
        typed=typed,
        commune=commune,
        villages=[(v.code, v.name) for v in villages if v.level == "village"],
        categories=[(c.code, c.title(page.locale)) for c in sla.categories(units.today()).values()],
        kept_photos=kept_photos,
        max_photos=MAX_PHOTOS,
        max_length=MAX_DESCRIPTION,
        unit_path=await views.crumbs(tx, commune),
    )


async def _find_commune(page: Page, tx: AsyncSession, q: str) -> Response:
    found = (await units.search(tx, level="commune", q=q, limit=20))[:20] if q else []
    names = await queries.unit_names(tx, {u.parent for u in found})
    return page.render("find_commune.html", found=found, names=names, q=q)


@pages.get("/report")
async def report(
    request: Request,
    page: Page,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=30)] = None,
    q: Annotated[Words, Query()] = "",
    check: bool = False,
) -> Response:
    """The form, with what an unsent draft holds; without a commune, the question which one."""
    settings = views.settings_of(request)
    token = request.cookies.get(DRAFT_COOKIE)
    kept = await drafts.load(tx, me, token, views.cipher_of(request), settings.draft_hours)
    typed: dict[str, Any] = dict(kept.typed) if kept else {"public": "1"}
    commune = None if q else await _commune(tx, me, unit or typed.get("commune"))
    if commune is None:
        return await _find_commune(page, tx, q)
    if unit and typed.get("commune") not in (None, commune.code):
        typed.pop("village", None)
    errors = _wrong({**typed, "commune": commune.code}, page.locale) if check and kept else None
    return await _form(page, tx, commune, typed, kept_photos=kept.photos if kept else 0, errors=errors)


def _wrong(typed: dict[str, Any], locale: str) -> dict[str, str]:
    """What is wrong with kept texts, by field."""
    try:
        ReportForm.model_validate(typed)
    except ValidationError as error:
        return {f.field.split(".", 1)[0]: f.message for f in reversed(validation_fields(error.errors(), locale))}
    return {}


def _plainly(errors: dict[str, str], page: Page) -> dict[str, str]:
    """The summary above the form names no field, so the one that must be filled says what it wants by itself."""
    if "description" in errors:
        return {**errors, "description": page._("Xin viết một câu về việc chị/anh thấy.")}
    return errors


def _texts(typed: dict[str, Any]) -> dict[str, str]:
    """What is worth keeping, cut to a length a person may have typed: anybody may leave a draft, of any size."""
    return {name: str(typed[name])[:MAX_KEPT] for name in _KEPT_FIELDS if typed.get(name)}


def _remember(page: Page, response: Response, token: str) -> Response:
    """Give the browser the key to its draft, until it is closed."""
    secure = page.renderer.settings.https
    response.set_cookie(DRAFT_COOKIE, token, path="/petitions", httponly=True, samesite="lax", secure=secure)
    return response


async def _cleaned(uploads: list[UploadFile], there: int) -> list[CleanPhoto]:
    if there + len(uploads) > MAX_PHOTOS:
        raise TooManyPhotos(field="photos", most=MAX_PHOTOS)
    return [await photos.clean(await upload.read(photos.MAX_BYTES + 1)) for upload in uploads]


async def _file(request: Request, tx: AsyncSession, me: Principal, form: ReportForm) -> Petition:
    asked = FilePetition(**form.model_dump())
    return await commands.file(tx, me, asked, views.cipher_of(request))


def _sent(page: Page, petition: Petition) -> Response:
    response = page.redirect(f"/petitions/sent/{petition.code}")
    response.delete_cookie(DRAFT_COOKIE, path="/petitions")
    return response


@pages.post("/report", max_body=(MAX_PHOTOS * 8 + 1) * MiB)
async def send(request: Request, page: Page, tx: Tx, me: MaybeMe) -> Response:
    """Send the report, or keep it: over a sign-in, over something to mend, over the question about similar cases."""
    form = await page.form(ReportForm)
    token = request.cookies.get(DRAFT_COOKIE)
    cipher = views.cipher_of(request)
    if me is None:
        token = await drafts.keep(tx, None, token, _texts(form.typed), [], cipher)
        back = page.redirect(
            "/identity/login?" + urlencode({"next": "/petitions/report"}),
            flash="Đã giữ lại nội dung chị/anh viết. Đăng nhập xong là gửi được.",
        )
        return _remember(page, back, token)
    kept = await drafts.load(tx, me, token, cipher, views.settings_of(request).draft_hours)
    there = kept.photos if kept else 0
    commune = await _commune(tx, me, form.typed.get("commune"))
    if commune is None:
        return page.redirect("/petitions/report", flash="Xin chọn xã, phường hoặc thị trấn.", kind="error")
    try:
        cleaned = await _cleaned(form.files.get("photos", []), there)
    except DomainError as error:
        return await _form(
            page, tx, commune, form.typed, kept_photos=there, errors=page.errors_of(error), status=page.status_of(error)
        )
    if form.value is None:
        return await _mend(request, page, tx, me, commune, form.typed, form.errors, cleaned, there)
    try:
        checked = await commands.check(tx, me, FilePetition(**form.value.model_dump()))
        found = await _similar(request, tx, checked.unit, form.value.description)
        if found:
            token = await drafts.keep(tx, me, token, _texts(form.typed), cleaned, cipher)
            return _remember(page, await _ask(page, tx, found, commune), token)
        petition = await _file(request, tx, me, form.value)
    except DomainError as error:
        return await _mend(request, page, tx, me, commune, form.typed, page.errors_of(error), cleaned, there)
    if kept:
        await drafts.hand_over(tx, kept.id, petition.id)
    if cleaned:
        await commands.add_photos(tx, me, str(petition.id), cleaned)
    return _sent(page, petition)


async def _mend(
    request: Request,
    page: Page,
    tx: AsyncSession,
    me: Principal,
    commune: Unit,
    typed: dict[str, Any],
    errors: dict[str, str],
    cleaned: list[CleanPhoto],
    there: int,
) -> Response:
    """Something is to be mended. A browser cannot fill a file field again, so photos wait in a draft meanwhile."""
    if not cleaned:
        return await _form(page, tx, commune, typed, kept_photos=there, errors=errors)
    token = request.cookies.get(DRAFT_COOKIE)
    token = await drafts.keep(tx, me, token, _texts(typed), cleaned, views.cipher_of(request))
    first = next(iter(errors.values()))
    back = page.redirect("/petitions/report?check=1", flash=first, kind="error")
    return _remember(page, back, token)


async def _similar(request: Request, tx: AsyncSession, unit: Unit, text: str) -> list[Petition]:
    since = now() - timedelta(days=views.settings_of(request).similar_days)
    return await queries.similar(tx, unit=unit, text=text, since=since)


async def _ask(page: Page, tx: AsyncSession, found: list[Petition], commune: Unit) -> Response:
    return page.render(
        "similar.html", lines=await views.lines(tx, page, found), unit_path=await views.crumbs(tx, commune)
    )


async def _draft(request: Request, tx: AsyncSession, me: Principal) -> Kept | None:
    token = request.cookies.get(DRAFT_COOKIE)
    return await drafts.load(tx, me, token, views.cipher_of(request), views.settings_of(request).draft_hours)


@pages.post("/report/confirm")
async def confirm(request: Request, page: Page, tx: Tx, me: Me) -> Response:
    """Mine is another matter: send what was kept."""
    kept = await _draft(request, tx, me)
    if kept is None:
        return page.redirect("/petitions/report", flash="Nội dung chưa gửi đã hết hạn, xin viết lại.", kind="error")
    if _wrong(dict(kept.typed), page.locale):
        return page.redirect("/petitions/report?check=1")
    try:
        petition = await _file(request, tx, me, ReportForm.model_validate(kept.typed))
    except DomainError as error:
        # The village was merged away meanwhile, say: back to the form, nothing lost.
        return page.redirect("/petitions/report", flash=next(iter(page.errors_of(error).values())), kind="error")
    await drafts.hand_over(tx, kept.id, petition.id)
    return _sent(page, petition)


@pages.post("/report/photos/remove")
async def remove_photos(request: Request, page: Page, tx: Tx, me: Me) -> Response:
    """Take the waiting photos back, to choose others."""
    kept = await _draft(request, tx, me)
    if kept:
        await drafts.drop_photos(tx, kept.id)
    return page.redirect("/petitions/report")


@pages.get("/sent/{code}")
async def sent(page: Page, tx: Tx, me: Me, code: str) -> Response:
    """The receipt: the code, large enough to write down, and the deadline."""
    petition = await access.petition(tx, me, code[:40])
    if not petition.is_reporter(me):
        raise PetitionNotFound
    return page.render("sent.html", **await views.case(tx, page, me, petition))
