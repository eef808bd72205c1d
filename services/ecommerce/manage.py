"""Owns the pages of producers, and of staff who act for them: my products, a product's desk and its forms."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from chassis import units
from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import DomainError, Forbidden, NotFound
from chassis.pages import FormResult
from chassis.paging import After, page_of
from chassis.web import Me, MiB, Page, PageRouter, Tx
from services.ecommerce import access, commands, pictures, queries, views
from services.ecommerce.cursors import id_position, product_key
from services.ecommerce.forms import ListingForm, NoForm, ProducerForm, ProductForm
from services.ecommerce.model import Producer, Product, ProductChangedMeanwhile
from services.ecommerce.views import ListingId, ProductId

PAGE = 50

manage = PageRouter()


@manage.get("/mine")
async def mine(page: Page, tx: Tx, me: Me, after: After = None) -> Response:
    at = now()
    producers = await queries.producers(tx, account=me.subject, limit=20)
    wanted = queries.Filter(account=me.subject)
    found = page_of(await queries.products(tx, wanted, at, PAGE, id_position(after)), PAGE, product_key)
    here = await units.find(tx, me.home.unit) if me.home else None
    return page.render(
        "mine.html",
        title=page._("Sản phẩm của tôi"),
        producers=producers,
        may_register=bool(me.roles & {*access.PRODUCER, *STAFF}),
        rows=found.items,
        names=await queries.unit_names(tx, (row.product.unit for row in found.items)),
        next_href="/ecommerce/mine?" + urlencode({"after": found.next}) if found.next else None,
        first_href="/ecommerce/mine" if after else None,
        **await views.shell(page, tx, me, "mine", here),
    )


@manage.get("/producers/new")
async def new_producer(page: Page, tx: Tx, me: Me) -> Response:
    return await _producer_form(page, tx, me, FormResult(None), {})


@manage.post("/producers/new")
async def register_producer(page: Page, tx: Tx, me: Me) -> Response:
    form = await page.form(ProducerForm)
    if form.value is None:
        return await _producer_form(page, tx, me, form, form.errors)
    try:
        producer = await commands.register_producer(tx, me, form.value.wanted())
    except DomainError as error:
        return await _producer_form(page, tx, me, form, page.errors_of(error), page.status_of(error))
    return page.redirect(f"/ecommerce/products/new?producer={producer.id}", flash="Đã đăng ký cơ sở sản xuất.")


async def _producer_form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    form: FormResult[ProducerForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    registrars = [grant for grant in me.grants if grant.role in (*STAFF, *access.PRODUCER)]
    if not registrars:
        raise Forbidden()
    choices = []
    for grant in registrars:
        unit = await units.find(tx, grant.unit)
        # A province or district lists no villages here: whoever works there opens the commune's page first.
        if unit is not None and unit.level in ("commune", "village"):
            choices.append((unit.code, unit.name))
            choices += [(child.code, child.name) for child in await units.children(tx, unit.code)]
    here = await units.find(tx, registrars[0].unit)
    return page.render(
        "producer_form.html",
        title=page._("Đăng ký cơ sở sản xuất"),
        status=status,
        errors=errors,
        typed=form.typed,
        unit_choices=list(dict.fromkeys(choices)),
        back_href="/ecommerce/mine",
        **await views.shell(page, tx, me, "mine", here),
    )


@manage.get("/products/new")
async def new_product(page: Page, tx: Tx, me: Me, producer: str | None = None) -> Response:
    own = await queries.producers(tx, account=me.subject, limit=20)
    asked = await _producer(tx, me, producer) if producer else None
    if asked is None and not own:
        return page.redirect("/ecommerce/producers/new", flash="Xin đăng ký cơ sở sản xuất trước.", kind="info")
    return await _product_form(page, tx, me, asked or own[0], FormResult(None), {})


@manage.post("/products/new", max_body=9 * MiB)
async def add_product(page: Page, tx: Tx, me: Me) -> Response:
    form = await page.form(ProductForm)
    producer = await _producer(tx, me, form.typed.get("producer_id", ""))
    if form.value is None:
        return await _product_form(page, tx, me, producer, form, form.errors)
    try:
        product = await commands.add_product(tx, me, producer.id, form.value.fields())
        if picture := await pictures.chosen(form, page.renderer.settings):
            await commands.set_photo(tx, me, product.id, picture)
    except DomainError as error:
        return await _product_form(page, tx, me, producer, form, page.errors_of(error), page.status_of(error))
    return page.redirect(views.desk_href(product.id), flash="Đã lưu bản nháp. Xem lại rồi đăng bán.")


@manage.get("/products/{product_id}/edit")
async def edit_product(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    product = await access.changeable(tx, me, product_id)
    typed = {name: getattr(product, name) for name in ProductForm.model_fields if getattr(product, name) is not None}
    return await _product_form(page, tx, me, product.producer, FormResult(None, typed=typed), {}, product=product)


@manage.post("/products/{product_id}/edit", max_body=9 * MiB)
async def change_product(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    product = await access.changeable(tx, me, product_id)
    producer = product.producer
    form = await page.form(ProductForm)
    if form.value is None:
        return await _product_form(page, tx, me, producer, form, form.errors, product=product)
    try:
        await commands.change_product(tx, me, product_id, form.value.fields(), form.value.version)
        if picture := await pictures.chosen(form, page.renderer.settings):
            await commands.set_photo(tx, me, product_id, picture)
    except ProductChangedMeanwhile as error:
        # What was typed stays; sent once more, it replaces the version the person has now been told of.
        form.typed["version"] = product.version
        return await _product_form(
            page, tx, me, producer, form, page.errors_of(error), page.status_of(error), product=product
        )
    except DomainError as error:
        return await _product_form(
            page, tx, me, producer, form, page.errors_of(error), page.status_of(error), product=product
        )
    return page.redirect(views.desk_href(product_id), flash="Đã lưu thay đổi.")


async def _product_form(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    producer: Producer,
    form: FormResult[ProductForm],
    errors: dict[str, str],
    status: int = 200,
    product: Product | None = None,
) -> Response:
    villages = await queries.villages(tx, [producer.commune])
    return page.render(
        "product_form.html",
        title=page._("Sửa sản phẩm") if product else page._("Thêm sản phẩm"),
        status=status,
        errors=errors,
        typed=form.typed,
        product=product,
        producer=producer,
        villages=[(village.code, village.name) for village in villages],
        back_href=views.desk_href(product.id) if product else "/ecommerce/mine",
        **await views.shell(page, tx, me, "mine", await units.find(tx, producer.unit)),
    )


@manage.get("/products/{product_id}/manage")
async def desk(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    product = await _own(tx, me, product_id)
    return await _desk_page(page, tx, me, product, FormResult(None), {})


async def _desk_page(
    page: Page,
    tx: AsyncSession,
    me: Principal,
    product: Product,
    form: FormResult[ListingForm],
    errors: dict[str, str],
    status: int = 200,
) -> Response:
    at = now()
    here = await units.find(tx, product.unit)
    return page.render(
        "desk.html",
        title=product.name,
        status=status,
        errors=errors,
        typed=form.typed,
        product=product,
        unit=here,
        live=len(product.live_listings(at)),
        listings=views.listings_shown(product, at)[:PAGE],
        may_mark_key=access.may_mark_key(me, product),
        back_href="/ecommerce/mine"
        if access.owns(me, product.producer)
        else f"/ecommerce/manage?unit={product.commune}",
        **await views.shell(page, tx, me, "mine", here),
    )


@manage.post("/products/{product_id}/publish")
async def publish(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    await commands.publish(tx, me, product_id)
    return page.redirect(views.desk_href(product_id), flash="Đã đăng bán. Ai cũng xem được trang sản phẩm.")


@manage.get("/products/{product_id}/withdraw")
async def ask_withdraw(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    product = await _own(tx, me, product_id)
    return page.render(
        "withdraw.html",
        title=page._("Ngừng bán"),
        product=product,
        live=len(product.live_listings(now())),
        back_href=views.desk_href(product_id),
        **await views.shell(page, tx, me, "mine", await units.find(tx, product.unit)),
    )


@manage.post("/products/{product_id}/withdraw")
async def withdraw(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    await page.form(NoForm)
    await commands.withdraw(tx, me, product_id)
    return page.redirect(views.desk_href(product_id), flash="Đã ngừng bán. Bấm “Đăng bán lại” nếu nhầm.")


@manage.post("/products/{product_id}/listings")
async def open_listing(page: Page, tx: Tx, me: Me, product_id: ProductId) -> Response:
    product = await access.changeable(tx, me, product_id)
    form = await page.form(ListingForm)
    if form.value is None:
        return await _desk_page(page, tx, me, product, form, form.errors)
    try:
        await commands.open_listing(tx, me, product_id, form.value.wanted())
    except DomainError as error:
        named = {"valid_from": "first_day", "valid_to": "last_day"}
        errors = {named.get(field, field): text for field, text in page.errors_of(error).items()}
        return await _desk_page(page, tx, me, product, form, errors, page.status_of(error))
    return page.redirect(views.desk_href(product_id), flash="Đã thêm kênh bán.")


@manage.get("/products/{product_id}/listings/{listing_id}/end")
async def ask_end(page: Page, tx: Tx, me: Me, product_id: ProductId, listing_id: ListingId) -> Response:
    product = await _own(tx, me, product_id)
    listing = next((one for one in product.listings if one.id == listing_id), None)
    if listing is None:
        raise NotFound()
    return page.render(
        "end_listing.html",
        title=page._("Kết thúc lượt bán"),
        product=product,
        listing=listing,
        remaining=len([one for one in product.live_listings(now()) if one.id != listing_id]),
        back_href=views.desk_href(product_id),
        **await views.shell(page, tx, me, "mine", await units.find(tx, product.unit)),
    )


@manage.post("/products/{product_id}/listings/{listing_id}/end")
async def end_listing(page: Page, tx: Tx, me: Me, product_id: ProductId, listing_id: ListingId) -> Response:
    await commands.end_listing(tx, me, product_id, listing_id)
    return page.redirect(views.desk_href(product_id), flash="Đã kết thúc lượt bán. Bấm “Mở lại” nếu nhầm.")


@manage.post("/products/{product_id}/listings/{listing_id}/resume")
async def resume_listing(page: Page, tx: Tx, me: Me, product_id: ProductId, listing_id: ListingId) -> Response:
    await commands.resume_listing(tx, me, product_id, listing_id)
    return page.redirect(views.desk_href(product_id), flash="Đã mở lại kênh bán.")


async def _own(tx: AsyncSession, me: Principal, product_id: uuid.UUID) -> Product:
    """The product, not locked, which `me` may change."""
    product = await access.visible(tx, me, product_id)
    if not access.may_change(me, product):
        raise Forbidden()
    return product


async def _producer(tx: AsyncSession, me: Principal, typed: str) -> Producer:
    """The producer named in a form or an address, for which `me` may act; raises NotFound, Forbidden."""
    try:
        producer = await queries.producer(tx, uuid.UUID(typed))
    except ValueError:
        raise NotFound() from None
    if producer is None:
        raise NotFound()
    if not access.may_change_producer(me, producer):
        raise Forbidden()
    return producer
