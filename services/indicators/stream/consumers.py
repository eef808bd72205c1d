"""Owns what events of the other services say as facts.

Each event carries the whole state of its aggregate, so one function serves all events of an aggregate; the sequence of
the aggregate orders them. A mapping is a pure function of the message and its envelope; what needs the database (a unit
is described, its figures are carried over) is a deed, done in the transaction that writes the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, timedelta
from fractions import Fraction

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.identity.v1 import events_pb2 as identity
from xaso.media.v1 import events_pb2 as media
from xaso.observations.v1 import events_pb2 as observations
from xaso.petitions.v1 import events_pb2 as petitions

from chassis import units
from chassis.consumer import Event
from chassis.units import VIETNAM
from services.indicators.calculation import applying, ledger, sequencer
from services.indicators.calculation.engine import Fact, Ratio, Value
from services.indicators.calculation.model import unit_key
from services.indicators.criteria import library
from services.indicators.reorganisation import carrying
from services.indicators.reorganisation.inheriting import Link
from services.indicators.sources import observing
from services.indicators.stream.feeds import Envelope, Feeds

on = Feeds()

WORKING_STATES = ("ready", "sleeping")
"""States in which a loudspeaker would play if it were told to; sleeping is a device's own thrift, not a fault."""


SECURITY = "an_ninh"
"""The category of reports on security and order."""

ENVIRONMENT = "moi_truong"
"""The category of reports on waste, sewage and straw burning."""

NOTICE_TOPICS = {"climate": ("notice.climate",), "waste_calendar": ("notice.waste_calendar",)}
"""What a notice on a topic says besides that information reaches phones."""

HOUSEHOLDS_TAKING_PART = 2
"""The fewest households whose harvest makes a lot a common one; the source asks that residents take part."""

FLOORS = ("postmart", "voso", "shopee", "lazada", "tiktok")
"""Sales channels that are e-commerce floors; an own site and social networks are none."""


def fact_from(
    event: Envelope, attribute: str, entity: str, unit: str, value: Value, *, period: str = "", gone: bool = False
) -> Fact:
    """What `event` says of one attribute; the source is the service that published it, by its proto package."""
    return Fact(
        attribute,
        entity,
        event.type.split(".", 2)[1],
        "event",
        unit,
        value,
        event.sequence,
        f"{event.type}:{event.id}",
        event.time,
        period,
        gone,
    )


@on.deed(identity.UnitEntered, identity.UnitChanged, identity.UnitEnded)
async def unit_described(tx: AsyncSession, events: Sequence[Event[identity.UnitEntered]]) -> None:
    """Keep the units; what lies above counts one village more or less, or another one."""
    described, told = {}, [units.from_message(event.data.unit) for event in events]
    async with applying.following_units(tx, told, f"units:{events[-1].id}"):
        for event, unit in zip(events, told, strict=True):
            before = await units.find(tx, unit.code)
            await units.project(tx, unit, event.sequence)
            described[unit.code] = unit
            for path in {unit.path} | ({before.path} if before else set()):
                await sequencer.mark_stale(tx, path)
        await ledger.adopt(tx, described, library.catalogue(), f"units:{events[-1].id}")


@on.deed(identity.UnitSucceeded)
async def unit_succeeded(tx: AsyncSession, events: Sequence[Event[identity.UnitSucceeded]]) -> None:
    """Units gave the whole or a share of themselves to others: what is known of them is carried over."""
    catalogue = library.catalogue()
    both = [units.from_message(one) for event in events for one in (event.data.predecessor, event.data.successor)]
    async with applying.following_units(tx, both, f"units:{events[-1].id}"):
        await carrying.introduce(tx, both, catalogue, f"units:{events[-1].id}")
        await carrying.link(tx, [link_from(event.data) for event in events], catalogue)


def link_from(message: identity.UnitSucceeded) -> Link:
    """A link as its event tells of it; without a share nobody said which part goes over."""
    predecessor, successor = units.from_message(message.predecessor), units.from_message(message.successor)
    share = Fraction(message.share.numerator, message.share.denominator) if message.HasField("share") else None
    return Link(
        change_set=message.change_set,
        predecessor=unit_key(predecessor),
        successor=unit_key(successor),
        effective_on=date.fromisoformat(message.effective_on),
        level=successor.level,
        share=share,
        named={one.name: Fraction(one.share.numerator, one.share.denominator) for one in message.named_shares},
        legal_basis=message.legal_basis,
        successors=message.successors_of_predecessor,
        predecessors=message.predecessors_of_successor,
        group=successor.commune,
    )


@on(identity.DigitalTeamRegistered, identity.DigitalTeamActivityLogged, identity.DigitalTeamDissolved)
def digital_team(message: identity.DigitalTeamRegistered, event: Envelope) -> list[Fact]:
    """288.3: a team is registered, and in which years it logged activity. A dissolved team no longer counts.

    In communes: classes in digital skills of the year (12.1), which were held also where the team ended since. Which
    class is which does not matter there, so they are numbered.
    """
    team = message.team
    dissolved = bool(team.dissolved_on)
    facts = [fact_from(event, "team.standing", team.id, team.unit, "dissolved" if dissolved else "registered")]
    for year, count in team.activities_by_year.items():
        state = "logged" if count > 0 and not dissolved else "none"
        facts.append(fact_from(event, "team.activity", f"{team.id}@{year}", team.unit, state, period=str(year)))
    for year, count in team.classes_by_year.items():
        names = (f"{team.id}@{year}#{number}" for number in range(1, count + 1))
        facts += [fact_from(event, "team.skill_class", name, team.unit, "held", period=str(year)) for name in names]
    return facts


@on(identity.HouseholdRegisterChanged)
def household_register(message: identity.HouseholdRegisterChanged, event: Envelope) -> list[Fact]:
    """4.4 and 6.1 of the smart commune, s2 of the model one, the digital addresses in 8.4 of the advanced one.

    A system manages the basic data of a commune once every village has households in it and no fewer are recorded than
    the commune has: one household entered to try it out is no data of a village. It manages social and economic data
    once, besides, the review of this year is recorded in every village (in January it is to be done anew); the address
    map is complete once, besides, each household and each office has a digital address. A household that has one has
    the plate that its code stands on. Before staff stated how many households there are, nothing is known of all this.
    """
    register = message.register
    known = register.households > 0 and register.households_in_all > 0
    complete = 0 < register.villages == register.villages_recorded
    complete = complete and register.households_in_all <= register.households
    reviewed = complete and register.villages == register.villages_reviewed
    mapped = complete and register.households == register.households_located
    mapped = mapped and 0 < register.offices == register.offices_located
    there = max(register.households, register.households_in_all) + register.offices
    plates = Ratio(register.households_located + register.offices_located, there)
    unit = register.unit
    return [
        fact_from(event, "commune.data_system", unit, unit, complete, gone=not known),
        fact_from(event, "commune.socioeconomic_data_system", unit, unit, reviewed, gone=not known),
        fact_from(event, "commune.address_map", unit, unit, mapped, gone=not known),
        fact_from(event, "commune.digital_addresses", unit, unit, plates, gone=not known),
    ]


@on(identity.StaffMemberChanged)
def staff_member(message: identity.StaffMemberChanged, event: Envelope) -> list[Fact]:
    """3.1 and 5.2 of the smart commune: staff with a public contact, and staff who use a smartphone with Internet.

    3.1 asks for the officials of the authority: whoever serves the commune itself; 5.2 for those of its villages, too.
    Where nobody of a commune was asked, nothing is said; where somebody was, who was not counts as not using one.
    """
    member = message.member
    facts = []
    if member.level == "commune":
        contact = "listed" if member.contact_public else "unlisted"
        facts.append(fact_from(event, "staff.contact", member.id, member.unit, contact, gone=not member.serving))
    asked = member.serving and bool(member.mobile_internet)
    answer = member.mobile_internet or "unasked"
    facts.append(fact_from(event, "staff.smartphone", member.id, member.unit, answer, gone=not asked))
    return facts


@on(
    petitions.PetitionFiled,
    petitions.PetitionRouted,
    petitions.PetitionAnswered,
    petitions.PetitionClosed,
    petitions.PetitionRated,
    petitions.PetitionReopened,
)
def petition(message: petitions.PetitionFiled, event: Envelope) -> list[Fact]:
    """288.1: an answer given through the platform is evidence, also where the reporter is not content with it.

    In communes: that reports are taken in at all (g7), that residents rate (1.2), and answers on security (18.2) and on
    the environment (16.3).
    """
    state = message.petition
    answered = state.HasField("answered_at")
    moment = (state.answered_at if answered else state.filed_at).ToDatetime(tzinfo=VIETNAM)
    value = "answered" if answered else "open"
    unit = state.village or state.commune
    year = str(moment.year)
    facts = [
        fact_from(event, "petition.answer", state.id, unit, value, period=year),
        fact_from(event, "petition.rating", state.id, unit, "rated" if state.rating else "unrated", period=year),
    ]
    if state.category == SECURITY:
        facts.append(fact_from(event, "petition.security", state.id, unit, value, period=year))
    if state.category == ENVIRONMENT:
        facts.append(fact_from(event, "petition.environment", state.id, unit, value, period=year))
    return facts


@on(petitions.PollPublished, petitions.PollAnswered, petitions.PollClosed, petitions.PollResponded)
def poll(message: petitions.PollPublished, event: Envelope) -> list[Fact]:
    """1.2 and 10.3 of the smart commune: residents said how satisfied they are; learning needs were asked for and met.

    8.4 of the advanced commune: a survey on new-countryside work came to its end, and somebody answered it online.
    Needs are met once the poll is over, somebody answered, and what was offered is recorded, in the year of that day.
    A poll that was withdrawn is no evidence of anything.
    """
    state = message.poll
    gone, over = state.status == "withdrawn", state.status == "closed"
    # A poll ends at the midnight after its last day: of one that ended with the year, the next has nothing.
    ended = state.closes_at.ToDatetime(tzinfo=UTC) - timedelta(microseconds=1)
    last = (ended if over else event.time).astimezone(VIETNAM)
    if state.purpose == "satisfaction":
        surveyed = "surveyed" if state.answers else "unsurveyed"
        name = f"poll:{state.id}"
        return [fact_from(event, "petition.rating", name, state.unit, surveyed, period=str(last.year), gone=gone)]
    if state.purpose == "learning_needs":
        met = over and state.answers > 0 and state.responded
        year = state.responded_on[:4] if met else str(last.year)
        value = "needs_met" if met else "needs_asked"
        return [fact_from(event, "poll.learning_needs", state.id, state.unit, value, period=year, gone=gone)]
    if state.purpose == "new_countryside":
        surveyed = "surveyed" if over and state.answers > state.assisted else "unsurveyed"
        return [fact_from(event, "poll.new_countryside", state.id, state.unit, surveyed, gone=gone)]
    return []


@on(petitions.ForumThreadChanged)
def forum_thread(message: petitions.ForumThreadChanged, event: Envelope) -> list[Fact]:
    """3.3 of the smart commune: in the year, people of the commune and of another village or commune wrote in a thread.

    A commune whose people wrote among themselves, or to nobody, has shared nothing yet. A hidden thread, or one in
    which nothing of theirs can be read, says nothing of them.
    """
    thread, facts = message.thread, []
    written = [one for one in thread.participations if one.posts] if thread.status != "hidden" else []
    for one in thread.participations:
        elsewhere = any(other.year == one.year and other.commune != one.commune for other in written)
        value = "exchanged" if elsewhere or one.villages > 1 else "alone"
        name, year = f"{thread.id}@{one.commune}@{one.year}", str(one.year)
        facts.append(fact_from(event, "forum.exchange", name, one.commune, value, period=year, gone=one not in written))
    return facts


@on(media.LoudspeakerRegistered, media.LoudspeakerStateChanged, media.LoudspeakerRetired)
def loudspeaker(message: media.LoudspeakerRegistered, event: Envelope) -> list[Fact]:
    """288.2: a smart loudspeaker in service, that is, not retired and reachable now."""
    speaker = message.loudspeaker
    if not speaker.in_service:
        value = "retired"
    elif not speaker.smart:
        value = "analogue"
    else:
        value = "working" if speaker.state in WORKING_STATES else "silent"
    return [fact_from(event, "loudspeaker.service", speaker.id, speaker.unit, value)]


@on(media.BulletinAcknowledged)
def bulletin(message: media.BulletinAcknowledged, event: Envelope) -> list[Fact]:
    """8.3 of the advanced commune: a loudspeaker that finished a bulletin in a month works regularly in that month."""
    speaker = message.loudspeaker
    month = event.time.astimezone(VIETNAM).strftime("%Y-%m")
    return [fact_from(event, "loudspeaker.bulletin", f"{speaker.id}@{month}", speaker.unit, "played", period=month)]


@on(media.VillageAudibilityChanged)
def audibility(message: media.VillageAudibilityChanged, event: Envelope) -> list[Fact]:
    """288.7: residential clusters in earshot, counted by the media service."""
    heard = Ratio(message.clusters_in_earshot, message.clusters)
    return [fact_from(event, "village.audible_area", message.unit, message.unit, heard)]


@on(media.NoticePublished, media.NoticeReceived, media.NoticeWithdrawn)
def notice(message: media.NoticePublished, event: Envelope) -> list[Fact]:
    """1.3, 16.4 and 17 of the smart commune: a notice counts once a phone said that it showed it.

    Published is not received, and one that was withdrawn is no proof of anything. The year is that of publication.
    """
    state = message.notice
    year = str(state.published_at.ToDatetime(tzinfo=UTC).astimezone(VIETNAM).year)
    value = "withdrawn" if state.status == "withdrawn" else "received" if state.received else "sent"
    told = ["notice.reach", *NOTICE_TOPICS.get(state.topic, ())]
    return [fact_from(event, attribute, state.id, state.unit, value, period=year) for attribute in told]


@on(media.CameraRegistered, media.CameraStateChanged, media.CameraRetired)
def camera(message: media.CameraRegistered, event: Envelope) -> list[Fact]:
    """288.4: a camera counts for its place while it is online and connected to the commune's hub."""
    seen = message.camera
    if seen.retired:
        value = "retired"
    elif seen.in_hub and seen.state == "online" and seen.place in ("public_place", "main_road"):
        value = seen.place
    else:
        value = "dark"
    return [fact_from(event, "camera.watch", seen.id, seen.unit, value)]


@on(media.CameraWatchChanged)
def camera_watch(message: media.CameraWatchChanged, event: Envelope) -> list[Fact]:
    """18.1 of the smart commune: rules are really applied to the pictures of a camera; to have some is not enough."""
    watch = message.watch
    value = "watched" if watch.working else "unwatched" if watch.rules_active else "no_rules"
    return [fact_from(event, "camera.smart_watch", watch.camera_id, watch.unit, value)]


@on(
    ecommerce.ProductPublished,
    ecommerce.ProductChanged,
    ecommerce.ProductWithdrawn,
    ecommerce.ListingOpened,
    ecommerce.ListingEnded,
)
def product(message: ecommerce.ProductPublished, event: Envelope) -> list[Fact]:
    """288.9: a key product is sold online while one of its listings is live.

    A withdrawn product is no longer among the village's products; a draft is not yet. In communes: whether any product
    is sold online (6.3), and whether one with OCOP stars is on an e-commerce floor.
    """
    state = message.product
    value = "other"
    if state.key_product and state.status == "published":
        value = "key_listed" if state.live_listings > 0 else "key_unlisted"
    elif state.status == "published" and state.live_listings > 0:
        value = "sold_online"
    ocop = "none"
    if state.ocop_stars and state.status == "published":
        on_floor = any(listing.live and listing.channel in FLOORS for listing in state.listings)
        ocop = "on_floor" if on_floor else "off_floor"
    return [
        fact_from(event, "product.sale", state.id, state.unit, value),
        fact_from(event, "product.ocop", state.id, state.unit, ocop),
    ]


@on(ecommerce.TourismPointChanged)
def tourism_point(message: ecommerce.TourismPointChanged, event: Envelope) -> list[Fact]:
    """6.3 of the smart commune: information on places to visit, and digital trade where they are booked online.

    Information is where a place is and when it is open. One that is closed for a time or was taken back offers neither.
    """
    point = message.point
    value = "other"
    if point.status == "published" and point.has_location and point.has_opening:
        value = "bookable" if point.bookable else "informed"
    return [fact_from(event, "tourism.point", point.id, point.unit, value)]


@on(ecommerce.LotChanged)
def lot(message: ecommerce.LotChanged, event: Envelope) -> list[Fact]:
    """7.1 of the smart commune, of the year of the harvest: a cooperative's lot whose way can be followed.

    Residents take part where at least two households delivered to it: whoever runs the cooperative, and somebody
    besides. A recalled lot does not count: what went wrong is no model.
    """
    state = message.lot
    if not state.cooperative:
        value = "not_cooperative"
    elif state.status == "recalled":
        value = "recalled"
    elif not (state.traceable and state.diary_entries and state.HasField("published_at")):
        value = "untraced"
    else:
        value = "traced_together" if state.households >= HOUSEHOLDS_TAKING_PART else "traced_alone"
    return [fact_from(event, "lot.trace", state.code, state.unit, value, period=str(state.year))]


@on(ecommerce.HouseholdPaymentChanged)
def household_payment(message: ecommerce.HouseholdPaymentChanged, event: Envelope) -> list[Fact]:
    """8.1 of the smart commune: a household that paid a charge of its commune through the bank in the year.

    Who paid nothing here may pay elsewhere: what is counted is the least that is true. 16.4 asks for waste alone, and
    of who paid for none here nothing is said.
    """
    payment = message.payment
    name, year = f"{payment.household_id}@{payment.year}", str(payment.year)
    online = "paid" if payment.paid_online else "unpaid"
    waste = "waste" in payment.services and not payment.ended
    return [
        fact_from(event, "household.online_payment", name, payment.unit, online, period=year, gone=payment.ended),
        fact_from(event, "household.waste_payment", name, payment.unit, "paid", period=year, gone=not waste),
    ]


@on(ecommerce.BusinessChanged)
def business(message: ecommerce.BusinessChanged, event: Envelope) -> list[Fact]:
    """8.2 of the smart commune: a registered service business, and whether it is proven to take online payment."""
    state = message.business
    value = "taking" if state.online_payment else "not_taking"
    return [fact_from(event, "business.online_payment", state.id, state.unit, value, gone=state.ended)]


@on.latest(observations.ObservationRecorded)
def observation(message: observations.ObservationRecorded, event: Envelope) -> list[Fact]:
    """What another system observed; raises Refused with the reason where it cannot be right."""
    return [observing.told(message, event, library.catalogue())]
