"""The pages of the forum about one post: mending and taking back one's own, reporting another's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Principal
from chassis.errors import DomainError
from chassis.web import Me, Page, PageRouter, Tx
from services.petitions.forum import commands, views
from services.petitions.forum.api import limits_of
from services.petitions.forum.shapes import Body, Reason

pages = PageRouter(prefix="/forum", templates=views.TEMPLATES)

HOME = views.HOME


class EditForm(BaseModel):
    body: Body


class ReportForm(BaseModel):
    reason: Reason


async def _about(page: Page, tx: AsyncSession, me: Principal, what: str, id: UUID, **shown: Any) -> Response:
    about = await views.about(page, tx, me, id, limits_of(page.request))
    return page.render(f"forum_{what}.html", **about, **shown)


@pages.get("/posts/{id:uuid}/edit")
async def edit_page(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Mend one's own post."""
    _, post = await commands.own_post(tx, me, id)
    return await _about(page, tx, me, "edit", id, typed={"body": post.body})


@pages.post("/posts/{id:uuid}/edit")
async def edit(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    form = await page.form(EditForm)
    if form.value is None:
        await commands.own_post(tx, me, id)
        return await _about(page, tx, me, "edit", id, errors=form.errors, typed=form.typed)
    try:
        await commands.edit(tx, me, id, form.value.body, limits_of(page.request))
    except DomainError as error:
        if not error.field:
            raise
        status, errors = page.status_of(error), page.errors_of(error)
        return await _about(page, tx, me, "edit", id, status=status, errors=errors, typed=form.typed)
    return page.redirect(f"{HOME}/posts/{id}", flash="Đã sửa bài.")


@pages.get("/posts/{id:uuid}/withdraw")
async def withdraw_page(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Asks whether one's own post is to be taken back."""
    await commands.own_post(tx, me, id)
    return await _about(page, tx, me, "withdraw", id)


@pages.post("/posts/{id:uuid}/withdraw")
async def withdraw(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    await commands.withdraw(tx, me, id)
    return page.redirect(f"{HOME}/mine", flash="Đã rút bài.")


@pages.get("/posts/{id:uuid}/report")
async def report_page(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    """Tell the staff that a post is wrong."""
    return await _about(page, tx, me, "report", id)


@pages.post("/posts/{id:uuid}/report")
async def report(page: Page, tx: Tx, me: Me, id: UUID) -> Response:
    form = await page.form(ReportForm)
    if form.value is None:
        return await _about(page, tx, me, "report", id, errors=form.errors, typed=form.typed)
    try:
        await commands.report(tx, me, id, form.value.reason, limits_of(page.request))
    except DomainError as error:
        if not error.field:
            raise
        status, errors = page.status_of(error), page.errors_of(error)
        return await _about(page, tx, me, "report", id, status=status, errors=errors, typed=form.typed)
    return page.redirect(f"{HOME}/posts/{id}", flash="Cảm ơn chị/anh. Cán bộ xã sẽ xem bài này.")
