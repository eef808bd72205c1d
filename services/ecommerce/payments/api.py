"""Owns the JSON entry points of payments. Translation only; the rules stand in the commands."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Request

from chassis import units
from chassis.auth import VIEWERS
from chassis.paging import After, Limit, page_of
from chassis.web import ApiRouter, Me, Tx
from services.ecommerce.cursors import id_key, id_position
from services.ecommerce.payments import businesses, commands, queries, schemas, settling
from services.ecommerce.payments.charge_cursor import charge_key, charge_position
from services.ecommerce.payments.forms import Period
from services.ecommerce.payments.model import Business, ChargeState

api = ApiRouter(prefix="/api/v1", reads="ecommerce.read")
bank = ApiRouter(prefix="/api/v1", writes=settling.SCOPE)

Unit = Annotated[str, Query(max_length=40, description="Code of a commune or of a unit above it.")]


@api.get("/payees")
async def list_payees(tx: Tx, me: Me, unit: Unit) -> schemas.PayeeList:
    """The payees of a unit, for those who watch over it."""
    here = await units.get(tx, unit)
    me.require(VIEWERS, here.path)
    return schemas.PayeeList(items=[schemas.PayeeOut.of(one) for one in await queries.payees(tx, here)])


@api.post("/payees", status_code=201)
async def register_payee(tx: Tx, me: Me, body: schemas.NewPayee) -> schemas.PayeeOut:
    """Register who collects for a service of a commune."""
    return schemas.PayeeOut.of(await commands.register_payee(tx, me, body.unit, body.fields()))


@api.patch("/payees/{payee_id}")
async def change_payee(tx: Tx, me: Me, payee_id: uuid.UUID, body: schemas.PayeeChanges) -> schemas.PayeeOut:
    """Mend name or account, stop collecting or collect again; fields left out stay."""
    return schemas.PayeeOut.of(await commands.change_payee(tx, me, payee_id, **body.changed()))


@api.get("/payees/{payee_id}/charges")
async def list_charges(
    request: Request,
    tx: Tx,
    me: Me,
    payee_id: uuid.UUID,
    period: Period,
    state: ChargeState | None = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.ChargeList:
    """The charges of a month, by village and household."""
    payee = await queries.payee(tx, me, payee_id)
    found = await queries.charges(tx, payee.id, period, state or "", limit, charge_position(after))
    page = page_of(found, limit, charge_key)
    url = request.app.state.runtime.settings.public_url
    return schemas.ChargeList(items=[schemas.ChargeOut.of(one, url) for one in page.items], next=page.next)


@api.post("/payees/{payee_id}/charges", status_code=201)
async def issue(request: Request, tx: Tx, me: Me, payee_id: uuid.UUID, body: schemas.NewCharges) -> schemas.ChargeList:
    """Charge households for a month, all or none; a household is charged once for a service of a month."""
    issued = await commands.issue(tx, me, payee_id, body.period, body.due_on, body.wanted())
    url = request.app.state.runtime.settings.public_url
    return schemas.ChargeList(items=[schemas.ChargeOut.of(one, url) for one in issued])


@api.post("/charges/{charge_id}/cash")
async def pay_cash(request: Request, tx: Tx, me: Me, charge_id: uuid.UUID) -> schemas.ChargeOut:
    """The household paid at the counter."""
    charge = await commands.pay_cash(tx, me, charge_id)
    return schemas.ChargeOut.of(charge, request.app.state.runtime.settings.public_url)


@api.post("/charges/{charge_id}/cancel")
async def cancel(request: Request, tx: Tx, me: Me, charge_id: uuid.UUID) -> schemas.ChargeOut:
    """It was charged by mistake; the household may be charged anew."""
    charge = await commands.cancel(tx, me, charge_id)
    return schemas.ChargeOut.of(charge, request.app.state.runtime.settings.public_url)


@api.get("/payees/{payee_id}/notices")
async def list_notices(
    tx: Tx, me: Me, payee_id: uuid.UUID, waiting: bool = False, limit: Limit = 50, after: After = None
) -> schemas.NoticeList:
    """What the bank reported for a payee, newest first; with `waiting` only money that is to be looked after."""
    payee = await queries.payee(tx, me, payee_id)
    found = await queries.notices(tx, payee.id, limit, id_position(after), waiting=waiting)
    page = page_of(found, limit, id_key)
    return schemas.NoticeList(items=[schemas.NoticeOut.whole(one) for one in page.items], next=page.next)


@bank.post("/bank-notices")
async def receive(tx: Tx, me: Me, body: schemas.NewNotice) -> schemas.NoticeAnswer:
    """Money arrived. Short, over, late, double, of unknown purpose: all are kept; a repeated notice changes nothing."""
    return schemas.NoticeAnswer.of(await settling.receive(tx, me, body.incoming()))


@api.post("/bank-notices/{notice_id}/refund")
async def refund(tx: Tx, me: Me, notice_id: uuid.UUID, body: schemas.Refund) -> schemas.NoticeOut:
    """Staff gave money back; a charge that is short of it is open again."""
    return schemas.NoticeOut.whole(await settling.refund(tx, me, notice_id, body.amount, body.reason))


@api.get("/businesses")
async def list_businesses(tx: Tx, me: Me, unit: Unit, limit: Limit = 50, after: After = None) -> schemas.BusinessList:
    """The service businesses of a unit, newest first, for those who watch over it."""
    here = await units.get(tx, unit)
    me.require(VIEWERS, here.path)
    page = page_of(await queries.businesses(tx, here, limit, id_position(after)), limit, id_key)
    return schemas.BusinessList(items=[schemas.BusinessOut.of(one) for one in page.items], next=page.next)


@api.post("/businesses", status_code=201)
async def register_business(tx: Tx, me: Me, body: schemas.NewBusiness) -> schemas.BusinessOut:
    """Register a service business; a test payment with its code to its account proves that it takes VietQR."""
    return schemas.BusinessOut.of(await businesses.register(tx, me, body.unit, body.fields()))


@api.patch("/businesses/{business_id}")
async def change_business(tx: Tx, me: Me, business_id: uuid.UUID, body: schemas.BusinessChanges) -> schemas.BusinessOut:
    """Write down since when it takes online payment (null: no longer), or that it closed."""
    business: Business
    if body.ended:
        business = await businesses.end(tx, me, business_id)
    elif body.online_since is not None:
        business = await businesses.document(tx, me, business_id, body.online_since, body.evidence)
    elif "online_since" in body.model_fields_set:
        business = await businesses.withdraw(tx, me, business_id)
    else:
        business = await queries.business(tx, me, business_id, change=True)
    return schemas.BusinessOut.of(business)
