"""Owns the page of one charge, for whoever was given its link: no account, no name, what to pay and how."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from chassis.errors import NotFound
from chassis.units import today
from chassis.web import Page, PageRouter, Tx
from services.ecommerce import qr
from services.ecommerce.payments import queries, views
from services.ecommerce.payments.model import ChargeState
from services.ecommerce.queries import unit_names

pay = PageRouter()


async def _token(token: str) -> str:
    # Nothing else was ever given out; what is longer never reaches the database.
    if len(token) > 40 or not token.isascii():
        raise NotFound()
    return token


Token = Annotated[str, Depends(_token)]


@pay.get("/pay/{token}")
async def charge(page: Page, tx: Tx, token: Token) -> Response:
    shown = await queries.by_token(tx, token)
    names = await unit_names(tx, [shown.household.unit, shown.payee.unit])
    answer = page.render(
        "payments/pay.html",
        title=page._("Khoản thu"),
        charge=shown,
        payee=shown.payee,
        village=names.get(shown.household.unit, ""),
        commune=names.get(shown.payee.unit, ""),
        late=shown.state == ChargeState.OPEN and shown.due_on < today(),
        **views.words(page),
    )
    # Whoever has the address may pay and look: it stays between the household and the commune.
    answer.headers["referrer-policy"] = "no-referrer"
    answer.headers["x-robots-tag"] = "noindex"
    return answer


@pay.get("/pay/{token}/qr.svg")
async def code(page: Page, tx: Tx, token: Token) -> Response:
    shown = await queries.by_token(tx, token)
    if not shown.remaining:
        raise NotFound()
    drawn = qr.svg(views.code_text(shown), page._("Mã VietQR"))
    return Response(drawn, media_type="image/svg+xml", headers={"cache-control": "private, no-store"})
