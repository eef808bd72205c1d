"""Owns what events of the other services say as facts.

Each event carries the whole state of its aggregate, so one handler serves all events of an aggregate; the sequence of
the aggregate orders them. The facts of a batch of events are taken in together, once, at the end of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.identity.v1 import events_pb2 as identity
from xaso.media.v1 import events_pb2 as media
from xaso.petitions.v1 import events_pb2 as petitions

from chassis import units
from chassis.consumer import Consumers, Event
from chassis.units import VIETNAM
from services.indicators import ledger, library, sequencer
from services.indicators.engine import Fact, Ratio, Value

on = Consumers()

WORKING_STATES = ("ready", "sleeping")
"""States in which a loudspeaker would play if it were told to; sleeping is a device's own thrift, not a fault."""


def fact_from(
    event: Event[Any], attribute: str, entity: str, unit: str, value: Value, *, period: str = "", gone: bool = False
) -> Fact:
    """What `event` says of one attribute; the source is the service that published it, by its proto package."""
    return Fact(
        attribute=attribute,
        entity=entity,
        source=event.type.split(".")[1],
        origin="event",
        unit=unit,
        value=value,
        sequence=event.sequence,
        cause=f"{event.type}:{event.id}",
        observed_at=event.time,
        period=period,
        withdrawn=gone,
    )


def _keep(tx: AsyncSession, *facts: Fact) -> None:
    tx.info.setdefault("facts", []).extend(fact for fact in facts if fact.unit)


@on.after
async def take_in(tx: AsyncSession, _events: Sequence[Event[Any]]) -> None:
    """Once per batch: the facts of all its events, and those that waited for a unit described in it."""
    catalogue = library.catalogue()
    facts: list[Fact] = tx.info.pop("facts", [])
    entered: set[str] = tx.info.pop("entered", set())
    await ledger.record(tx, facts, catalogue)
    if entered:
        await ledger.adopt(tx, entered, catalogue)


@on(identity.UnitEntered, identity.UnitChanged, identity.UnitEnded)
async def unit_described(tx: AsyncSession, event: Event[identity.UnitEntered]) -> None:
    """Keep the unit; what lies above it counts one village more or less, or another one."""
    unit = units.from_message(event.data.unit)
    before = await units.find(tx, unit.code)
    await units.project(tx, unit, event.sequence)
    tx.info.setdefault("entered", set()).add(unit.code)
    for path in {unit.path} | ({before.path} if before else set()):
        await sequencer.mark_stale(tx, path)


@on(identity.DigitalTeamRegistered, identity.DigitalTeamActivityLogged, identity.DigitalTeamDissolved)
async def digital_team(tx: AsyncSession, event: Event[identity.DigitalTeamRegistered]) -> None:
    """288.3: a team is registered, and in which years it logged activity. A dissolved team no longer counts."""
    team = event.data.team
    dissolved = bool(team.dissolved_on)
    _keep(tx, fact_from(event, "team.standing", team.id, team.unit, "dissolved" if dissolved else "registered"))
    for year, count in team.activities_by_year.items():
        state = "logged" if count > 0 and not dissolved else "none"
        _keep(tx, fact_from(event, "team.activity", f"{team.id}@{year}", team.unit, state, period=str(year)))


@on(
    petitions.PetitionFiled,
    petitions.PetitionRouted,
    petitions.PetitionAnswered,
    petitions.PetitionClosed,
    petitions.PetitionRated,
    petitions.PetitionReopened,
)
async def petition(tx: AsyncSession, event: Event[petitions.PetitionFiled]) -> None:
    """288.1: an answer given through the platform is evidence, also where the reporter is not content with it."""
    state = event.data.petition
    answered = state.HasField("answered_at")
    moment = (state.answered_at if answered else state.filed_at).ToDatetime(tzinfo=VIETNAM)
    value = "answered" if answered else "open"
    unit = state.village or state.commune
    _keep(tx, fact_from(event, "petition.answer", state.id, unit, value, period=str(moment.year)))


@on(media.LoudspeakerRegistered, media.LoudspeakerStateChanged, media.LoudspeakerRetired)
async def loudspeaker(tx: AsyncSession, event: Event[media.LoudspeakerRegistered]) -> None:
    """288.2: a smart loudspeaker in service, that is, not retired and reachable now."""
    speaker = event.data.loudspeaker
    if not speaker.in_service:
        value = "retired"
    elif not speaker.smart:
        value = "analogue"
    else:
        value = "working" if speaker.state in WORKING_STATES else "silent"
    _keep(tx, fact_from(event, "loudspeaker.service", speaker.id, speaker.unit, value))


@on(media.VillageAudibilityChanged)
async def audibility(tx: AsyncSession, event: Event[media.VillageAudibilityChanged]) -> None:
    """288.7: residential clusters in earshot, counted by the media service."""
    heard = Ratio(event.data.clusters_in_earshot, event.data.clusters)
    _keep(tx, fact_from(event, "village.audible_area", event.data.unit, event.data.unit, heard))


@on(media.CameraRegistered, media.CameraStateChanged, media.CameraRetired)
async def camera(tx: AsyncSession, event: Event[media.CameraRegistered]) -> None:
    """288.4: a camera counts for its place while it is online and connected to the commune's hub."""
    seen = event.data.camera
    if seen.retired:
        value = "retired"
    elif seen.in_hub and seen.state == "online" and seen.place in ("public_place", "main_road"):
        value = seen.place
    else:
        value = "dark"
    _keep(tx, fact_from(event, "camera.watch", seen.id, seen.unit, value))


@on(
    ecommerce.ProductPublished,
    ecommerce.ProductChanged,
    ecommerce.ProductWithdrawn,
    ecommerce.ListingOpened,
    ecommerce.ListingEnded,
)
async def product(tx: AsyncSession, event: Event[ecommerce.ProductPublished]) -> None:
    """288.9: a key product is sold online while one of its listings is live.

    A withdrawn product is no longer among the village's products; a draft is not yet.
    """
    state = event.data.product
    value = "other"
    if state.key_product and state.status == "published":
        value = "key_listed" if state.live_listings > 0 else "key_unlisted"
    _keep(tx, fact_from(event, "product.sale", state.id, state.unit, value))
