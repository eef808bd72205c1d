"""Petitions as JSON: for partners, for the scenario, and for whoever builds on the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, File, Path, Query, Request, UploadFile
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.web import ApiRouter, MaybeMe, Me, MiB, Tx
from services.petitions import access, commands, photos, queries, sla
from services.petitions.commands import FilePetition
from services.petitions.contacts import ContactCipher, cipher_for
from services.petitions.model import (
    MAX_PHOTOS,
    Action,
    Channel,
    Entry,
    EntryKind,
    Petition,
    Photo,
    Status,
    TooManyPhotos,
)
from services.petitions.settings import Settings
from services.petitions.texts import (
    Answer,
    CategoryCode,
    Comment,
    CommuneCode,
    DepartmentCode,
    Description,
    NoteText,
    NoteTextOrNone,
    Phone,
    Place,
    Reason,
    Subject,
    VillageCode,
)

READ_SCOPE = "petitions.read"

api = ApiRouter(prefix="/api/v1", tags=["petitions"], reads=READ_SCOPE, writes=commands.WRITE_SCOPE)
Id = Annotated[str, Path(max_length=40, description="UUID, or the code on the receipt (PA-2026-000123).")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileIn(_In):
    """A petition to file. The commune may be left out where a village is named."""

    commune: CommuneCode | None = None
    village: VillageCode | None = None
    category: CategoryCode
    description: Description
    place: Place = ""
    lat: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False, description="WGS 84, degrees.")
    lon: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False, description="WGS 84, degrees.")
    contact_phone: Phone | None = Field(default=None, description="Kept encrypted, shown to the commune's staff only.")
    public: bool = Field(default=True, description="On the public pages; a security tip never is.")
    channel: Channel | None = Field(default=None, description="web (default for people), phone, partner.")
    received_at: AwareDatetime | None = Field(default=None, description="When a hotline took the call.")


class RouteIn(_In):
    """To whom; with neither department nor assignee the caller takes the case."""

    department: DepartmentCode | None = None
    assignee: Subject | None = Field(default=None, description="Subject of an officer who has acted for this commune.")
    note: NoteTextOrNone = ""


class AnswerIn(_In):
    text: Answer


class ReopenIn(_In):
    reason: Reason


class RateIn(_In):
    rating: int = Field(ge=1, le=5, strict=True)
    comment: Comment = ""


class NoteIn(_In):
    text: NoteText


class VisibilityIn(_In):
    public: bool


class PhotoOut(BaseModel):
    id: UUID
    href: str
    thumb_href: str
    width: int
    height: int


class EntryOut(BaseModel):
    at: datetime
    kind: EntryKind
    by: Literal["staff", "reporter"]
    text: str


class PetitionOut(BaseModel):
    """A petition as the caller may see it; `assignee` and `rating_comment` are empty for the public."""

    id: UUID
    code: str
    commune: str
    village: str | None
    category: str
    status: Status
    channel: Channel
    public: bool
    description: str
    place: str
    lat: float | None
    lon: float | None
    filed_at: datetime
    due_at: datetime
    late: bool
    working_days_left: int
    answered_at: datetime | None
    closed_at: datetime | None
    department: str | None
    assignee: str | None
    rating: int | None
    rating_comment: str
    mine: bool


class CaseOut(PetitionOut):
    timeline: list[EntryOut]
    photos: list[PhotoOut]
    actions: list[Action] = Field(description="What the caller may do now.")


class PetitionPage(BaseModel):
    items: list[PetitionOut]
    next: str | None


class PhotosOut(BaseModel):
    items: list[PhotoOut]


class CategoryOut(BaseModel):
    code: str
    title: str
    title_en: str
    days: int = Field(description="Working days until the answer is due.")
    public: bool


class CategoriesOut(BaseModel):
    items: list[CategoryOut]


def _settings(request: Request) -> Settings:
    settings = request.app.state.runtime.settings
    assert isinstance(settings, Settings)  # noqa: S101 - the service of this router is started with these settings.
    return settings


def cipher_of(settings: Settings) -> ContactCipher:
    return cipher_for(settings.secret.get_secret_value())


_STORED = tuple(name for name in PetitionOut.model_fields if hasattr(Petition, name))
"""Fields that are columns of the same name."""


def _fields(of: Petition, me: Principal | None) -> dict[str, object]:
    inside = of.is_handler(me)
    at = now()
    return {
        **{name: getattr(of, name) for name in _STORED},
        "late": of.is_late(at),
        "working_days_left": sla.calendar().days_left(at, of.due_at),
        "assignee": of.assignee if inside else None,
        "rating_comment": of.rating_comment if inside or of.is_reporter(me) else "",
        "mine": of.is_reporter(me),
    }


def _photo(photo: Photo) -> PhotoOut:
    href = f"/petitions/photos/{photo.id}.jpg"
    return PhotoOut(id=photo.id, href=href, thumb_href=f"{href}?size=thumb", width=photo.width, height=photo.height)


def _entry(entry: Entry) -> EntryOut:
    return EntryOut(at=entry.at, kind=entry.kind, by="staff" if entry.by_staff else "reporter", text=entry.body)


async def _case(tx: AsyncSession, me: Principal | None, of: Petition, settings: Settings) -> CaseOut:
    entries = await queries.timeline(tx, of, notes=of.is_handler(me))
    kept = await queries.photos(tx, of)
    at = now()
    return CaseOut.model_validate(
        {
            **_fields(of, me),
            # What a reporter says when rating is for the commune, not for every reader.
            "timeline": [_entry(e) for e in entries if e.kind is not EntryKind.RATED or _inside(of, me)],
            "photos": [_photo(p) for p in kept],
            "actions": [action for action in Action if of.can(action, me, at, settings.reopen_days)],
        }
    )


def _inside(of: Petition, me: Principal | None) -> bool:
    return of.is_handler(me) or of.is_reporter(me)


async def _reader(me: MaybeMe) -> Principal | None:
    """Who reads: nobody in particular, or somebody whose token may read petitions."""
    if me is not None:
        me.require_scope(READ_SCOPE)
    return me


async def _writer(me: Me) -> Principal:
    me.require_scope(commands.WRITE_SCOPE)
    return me


Reader = Annotated[Principal | None, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]


@api.get("/categories")
async def categories() -> CategoriesOut:
    """What a petition can be about, and in how many working days it is answered."""
    in_force = sla.categories(units.today()).values()
    return CategoriesOut(
        items=[
            CategoryOut(code=c.code, title=c.title_vi, title_en=c.title_en, days=c.days, public=c.public)
            for c in in_force
        ]
    )


@api.post("/petitions", status_code=201)
async def file_petition(request: Request, tx: Tx, me: Writer, body: FileIn) -> PetitionOut:
    """File a petition: people for themselves, staff with channel `phone` for a caller, partners for their callers."""
    asked = FilePetition(**body.model_dump())
    filed = await commands.file(tx, me, asked, cipher_of(_settings(request)))
    return PetitionOut.model_validate(_fields(filed, me))


def _cursor(after: str | None) -> tuple[datetime, UUID] | None:
    values = decode_cursor(after, 2)
    if values is None:
        return None
    try:
        at, identity = datetime.fromisoformat(values[0]), UUID(values[1])
    except (TypeError, ValueError, AttributeError) as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
    if at.tzinfo is None:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.")
    return at, identity


@api.get("/petitions")
async def list_petitions(
    tx: Tx,
    me: Reader,
    unit: Annotated[str | None, Query(max_length=30, description="Code of a unit: it and everything below.")] = None,
    status: Annotated[list[Status] | None, Query()] = None,
    category: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Words in any spelling, or a code.")] = None,
    mine: bool = False,
    assigned_to_me: bool = False,
    late: bool = False,
    order: Literal["newest", "due"] = "newest",
    after: After = None,
    limit: Limit = 50,
) -> PetitionPage:
    """Petitions the caller may see: the public ones, their own, and those of the units they work for."""
    narrowed = queries.Filter(
        units=(await units.get(tx, unit),) if unit else (),
        statuses=tuple(status or ()),
        category=category,
        reporter=me.subject if mine and me else None,
        nobody=(mine or assigned_to_me) and me is None,
        assignee=me.subject if assigned_to_me and me else None,
        late=late,
        q=q,
    )
    if order == "due":
        rows = await queries.waiting(tx, me, narrowed, limit=limit, after=_cursor(after))
        page = page_of(rows, limit, lambda p: (p.due_at, str(p.id)))
    else:
        rows = await queries.listing(tx, me, narrowed, limit=limit, after=_cursor(after))
        page = page_of(rows, limit, lambda p: (p.filed_at, str(p.id)))
    return PetitionPage(items=[PetitionOut.model_validate(_fields(p, me)) for p in page.items], next=page.next)


@api.get("/petitions/{id}")
async def get_petition(request: Request, tx: Tx, me: Reader, id: Id) -> CaseOut:
    """One petition with its timeline and photos; 404 also where the caller may not see it."""
    return await _case(tx, me, await access.petition(tx, me, id), _settings(request))


@api.post("/petitions/{id}/route")
async def route_petition(request: Request, tx: Tx, me: Writer, id: Id, body: RouteIn) -> CaseOut:
    """Staff of the commune: give the case to a department or a colleague, or take it."""
    changed = await commands.route(tx, me, id, department=body.department, assignee=body.assignee, note=body.note)
    return await _case(tx, me, changed, _settings(request))


@api.post("/petitions/{id}/answer")
async def answer_petition(request: Request, tx: Tx, me: Writer, id: Id, body: AnswerIn) -> CaseOut:
    """Staff of the commune: answer in public (a security tip's answer is read by its reporter only)."""
    return await _case(tx, me, await commands.answer(tx, me, id, text=body.text), _settings(request))


@api.post("/petitions/{id}/close")
async def close_petition(request: Request, tx: Tx, me: Writer, id: Id) -> CaseOut:
    """Staff or the reporter: an answered case ends."""
    return await _case(tx, me, await commands.close(tx, me, id), _settings(request))


@api.post("/petitions/{id}/reopen")
async def reopen_petition(request: Request, tx: Tx, me: Writer, id: Id, body: ReopenIn) -> CaseOut:
    """The reporter: it is not settled."""
    settings = _settings(request)
    changed = await commands.reopen(tx, me, id, reason=body.reason, reopen_days=settings.reopen_days)
    return await _case(tx, me, changed, settings)


@api.post("/petitions/{id}/rate")
async def rate_petition(request: Request, tx: Tx, me: Writer, id: Id, body: RateIn) -> CaseOut:
    """The reporter, once per answer: 1 to 5 and a word."""
    changed = await commands.rate(tx, me, id, rating=body.rating, comment=body.comment)
    return await _case(tx, me, changed, _settings(request))


@api.post("/petitions/{id}/notes", status_code=201)
async def add_note(request: Request, tx: Tx, me: Writer, id: Id, body: NoteIn) -> CaseOut:
    """Staff: a note that only the commune's staff read."""
    return await _case(tx, me, await commands.note(tx, me, id, text=body.text), _settings(request))


@api.post("/petitions/{id}/visibility")
async def set_visibility(request: Request, tx: Tx, me: Writer, id: Id, body: VisibilityIn) -> CaseOut:
    """Staff: take a petition off the public pages or put it back."""
    changed = await commands.set_public(tx, me, id, public=body.public)
    return await _case(tx, me, changed, _settings(request))


@api.post("/petitions/{id}/photos", status_code=201, max_body=(MAX_PHOTOS * 8 + 1) * MiB)
async def add_photos(tx: Tx, me: Writer, id: Id, files: Annotated[list[UploadFile], File(alias="photos")]) -> PhotosOut:
    """The reporter, before anybody took the case up: up to three photos (JPEG, PNG, WebP; 8 MB each), redrawn."""
    if len(files) > MAX_PHOTOS:
        raise TooManyPhotos(field="photos", most=MAX_PHOTOS)
    # Who may not add photos does not make us decode any.
    await commands.check_photos(tx, me, id, len(files))
    cleaned = [await photos.clean(await file.read(photos.MAX_BYTES + 1)) for file in files]
    added = await commands.add_photos(tx, me, id, cleaned)
    return PhotosOut(items=[_photo(photo) for photo in added])
