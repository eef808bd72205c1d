"""Owns the JSON entry points: what pages do, for programs. Translation only; the rules stand in access and commands."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Body, Query, Request, UploadFile
from starlette.responses import Response

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.db import now
from chassis.errors import Forbidden, NotFound, Unauthenticated
from chassis.i18n import LANGUAGE_VARIES
from chassis.paging import After, Limit, page_of
from chassis.web import ApiRouter, MaybeMe, Me, MiB, Tx
from services.ecommerce import access, commands, pictures, queries, schemas
from services.ecommerce.channels import channels
from services.ecommerce.cursors import catalogue_key, catalogue_position, id_key, id_position, product_key
from services.ecommerce.model import Product, Status
from services.ecommerce.tracing import commands as tracing

api = ApiRouter(prefix="/api/v1", reads="ecommerce.read")


def _settings(request: Request) -> Any:
    return request.app.state.runtime.settings


def _whole(request: Request, product: Product) -> schemas.ProductOut:
    return schemas.ProductOut.whole(product, now(), _settings(request).public_url)


@api.get("/channels")
async def list_channels(request: Request, response: Response) -> schemas.ChannelList:
    """The sales channels and the hosts their addresses lie under."""
    locale = request.app.state.renderer.json_locale(request)
    response.headers["vary"] = LANGUAGE_VARIES
    return schemas.ChannelList(items=[schemas.ChannelOut.of(channel, locale) for channel in channels().values()])


@api.get("/producers")
async def list_producers(
    tx: Tx,
    me: Me,
    unit: Annotated[str | None, Query(max_length=40, description="For those who watch over it.")] = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.ProducerList:
    """One's own producers; with `unit`, all of the unit."""
    position = id_position(after)
    if unit is None:
        found = await queries.producers(tx, account=me.subject, limit=limit, after=position)
    else:
        here = await units.get(tx, unit)
        me.require(VIEWERS, here.path)
        found = await queries.producers(tx, path=here.path, limit=limit, after=position)
    page = page_of(found, limit, id_key)
    return schemas.ProducerList(items=[schemas.ProducerOut.of(p) for p in page.items], next=page.next)


@api.post("/producers", status_code=201)
async def register_producer(tx: Tx, me: Me, body: schemas.NewProducer, response: Response) -> schemas.ProducerOut:
    """Register a producer: oneself (role producer), or another one (staff of the unit)."""
    producer = await commands.register_producer(tx, me, body.wanted())
    response.headers["location"] = f"/ecommerce/api/v1/producers/{producer.id}"
    return schemas.ProducerOut.of(producer)


@api.get("/producers/{producer_id}")
async def get_producer(tx: Tx, me: Me, producer_id: uuid.UUID) -> schemas.ProducerOut:
    """A producer, for itself and those who watch over its unit."""
    producer = await queries.producer(tx, producer_id)
    if producer is None or not access.may_see_producer(me, producer):
        raise NotFound()
    return schemas.ProducerOut.of(producer)


@api.patch("/producers/{producer_id}")
async def change_producer(tx: Tx, me: Me, producer_id: uuid.UUID, body: schemas.ProducerChanges) -> schemas.ProducerOut:
    """Rename a producer or, as staff, say which account acts as it; fields left out stay."""
    changed = body.changed()
    producer = await commands.change_producer(tx, me, producer_id, **changed)
    if "kind" in changed:
        await tracing.producer_changed(tx, producer_id)
    return schemas.ProducerOut.of(producer)


@api.get("/products")
async def list_products(
    request: Request,
    tx: Tx,
    me: MaybeMe,
    unit: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str, Query(max_length=100)] = "",
    key: Annotated[bool, Query(description="Only key farm products.")] = False,
    live: Annotated[bool, Query(description="Only products with a live listing.")] = False,
    mine: Annotated[bool, Query(description="One's own products, in every state.")] = False,
    status: Annotated[
        Status | None, Query(description="Other than published: for those who watch over `unit`.")
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> schemas.ProductList:
    """The public catalogue, newest publication first; one's own products or a unit's in any state, newest first."""
    at = now()
    path = (await units.get(tx, unit)).path if unit else ""
    wanted = queries.Filter(path=path, q=q, key_only=key, live_only=live)
    if mine or status not in (None, Status.PUBLISHED):
        narrowed = _narrowed(me, wanted, mine, status)
        rows = await queries.products(tx, narrowed, at, limit, id_position(after))
        page = page_of(rows, limit, product_key)
    else:
        rows = await queries.catalogue(tx, wanted, at, limit, catalogue_position(after))
        page = page_of(rows, limit, catalogue_key)
    public_url = _settings(request).public_url
    items = [schemas.ProductSummary.of(row, public_url) for row in page.items]
    return schemas.ProductList(items=items, next=page.next)


def _narrowed(me: Principal | None, wanted: queries.Filter, mine: bool, status: Status | None) -> queries.Filter:
    """The list that holds drafts: one's own, or a unit's for those who watch over it."""
    if me is None:
        raise Unauthenticated()
    statuses = (status,) if status else ()
    if mine:
        return queries.Filter(**{**vars(wanted), "account": me.subject, "statuses": statuses})
    if not wanted.path or not me.may(VIEWERS, wanted.path):
        raise Forbidden()
    return queries.Filter(**{**vars(wanted), "statuses": statuses})


@api.post("/products", status_code=201)
async def add_product(
    request: Request, tx: Tx, me: Me, body: schemas.NewProduct, response: Response
) -> schemas.ProductOut:
    """A new product, as a draft that nobody but the producer and the commune sees."""
    product = await commands.add_product(tx, me, body.producer_id, body.fields())
    response.headers["location"] = f"/ecommerce/api/v1/products/{product.id}"
    return _whole(request, product)


@api.get("/products/{product_id}")
async def get_product(request: Request, tx: Tx, me: MaybeMe, product_id: uuid.UUID) -> schemas.ProductOut:
    """A product with its listings; a draft is not found by strangers."""
    return _whole(request, await access.visible(tx, me, product_id))


@api.patch("/products/{product_id}")
async def change_product(
    request: Request, tx: Tx, me: Me, product_id: uuid.UUID, body: schemas.ProductChanges
) -> schemas.ProductOut:
    """Change what is said of a product; fields left out stay."""
    product = await access.changeable(tx, me, product_id)
    return _whole(request, await commands.change_product(tx, me, product_id, body.fields(product), body.version))


@api.post("/products/{product_id}/publish")
async def publish(request: Request, tx: Tx, me: Me, product_id: uuid.UUID) -> schemas.ProductOut:
    """Put on sale: from draft, or again after a withdrawal."""
    return _whole(request, await commands.publish(tx, me, product_id))


@api.post("/products/{product_id}/withdraw")
async def withdraw(request: Request, tx: Tx, me: Me, product_id: uuid.UUID) -> schemas.ProductOut:
    """Take off sale; the page stays, says so, and its listings are no longer live."""
    return _whole(request, await commands.withdraw(tx, me, product_id))


@api.post("/products/{product_id}/mark-key")
async def mark_key(
    request: Request, tx: Tx, me: Me, product_id: uuid.UUID, body: Annotated[schemas.KeyMark | None, Body()] = None
) -> schemas.ProductOut:
    """Count the product among the commune's key farm products (or, with `key_product` false, no longer)."""
    wanted = body or schemas.KeyMark()
    return _whole(request, await commands.mark_key(tx, me, product_id, wanted.key_product))


@api.post("/products/{product_id}/photo", max_body=9 * MiB)
async def set_photo(request: Request, tx: Tx, me: Me, product_id: uuid.UUID, photo: UploadFile) -> schemas.ProductOut:
    """Replace the photo by a JPEG, PNG or WebP; only its pixels are kept."""
    # Rights are checked before the work of decoding.
    await access.changeable(tx, me, product_id)
    picture = await pictures.cleaned(photo, _settings(request))
    return _whole(request, await commands.set_photo(tx, me, product_id, picture))


@api.delete("/products/{product_id}/photo")
async def remove_photo(request: Request, tx: Tx, me: Me, product_id: uuid.UUID) -> schemas.ProductOut:
    """Remove the photo; removing what is not there changes nothing."""
    return _whole(request, await commands.set_photo(tx, me, product_id, None))


@api.get("/products/{product_id}/listings")
async def list_listings(
    tx: Tx, me: MaybeMe, product_id: uuid.UUID, limit: Limit = 50, after: After = None
) -> schemas.ListingList:
    """Every listing a product has or had, newest first."""
    product = await access.visible(tx, me, product_id)
    found = await queries.listings(tx, product_id, limit, id_position(after))
    page = page_of(found, limit, id_key)
    at = now()
    return schemas.ListingList(items=[schemas.ListingOut.of(product, x, at) for x in page.items], next=page.next)


@api.post("/products/{product_id}/listings", status_code=201)
async def open_listing(
    tx: Tx, me: Me, product_id: uuid.UUID, body: schemas.NewListing, response: Response
) -> schemas.ListingOut:
    """Offer the product on a channel, now or from `valid_from` on."""
    listing = await commands.open_listing(tx, me, product_id, body.wanted())
    response.headers["location"] = f"/ecommerce/api/v1/products/{product_id}/listings/{listing.id}"
    return schemas.ListingOut.of(await access.visible(tx, me, product_id), listing, now())


@api.get("/products/{product_id}/listings/{listing_id}")
async def get_listing(tx: Tx, me: MaybeMe, product_id: uuid.UUID, listing_id: uuid.UUID) -> schemas.ListingOut:
    """One listing of a product."""
    product = await access.visible(tx, me, product_id)
    for listing in product.listings:
        if listing.id == listing_id:
            return schemas.ListingOut.of(product, listing, now())
    raise NotFound()


@api.post("/products/{product_id}/listings/{listing_id}/end")
async def end_listing(tx: Tx, me: Me, product_id: uuid.UUID, listing_id: uuid.UUID) -> schemas.ListingOut:
    """End a listing now; one that has not begun is called off."""
    listing = await commands.end_listing(tx, me, product_id, listing_id)
    return schemas.ListingOut.of(await access.visible(tx, me, product_id), listing, now())


@api.post("/products/{product_id}/listings/{listing_id}/resume", status_code=201)
async def resume_listing(tx: Tx, me: Me, product_id: uuid.UUID, listing_id: uuid.UUID) -> schemas.ListingOut:
    """Undo an end: a new listing on the same channel at the same address, from now on, without end."""
    listing = await commands.resume_listing(tx, me, product_id, listing_id)
    return schemas.ListingOut.of(await access.visible(tx, me, product_id), listing, now())
