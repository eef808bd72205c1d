"""Owns the gRPC entry point CatalogueService: the public catalogue for partners and other services."""

from __future__ import annotations

import uuid
from typing import Any

from xaso.ecommerce.v1 import ecommerce_pb2, ecommerce_pb2_grpc

from chassis import rpc, units
from chassis.db import now
from chassis.errors import Invalid, NotFound
from chassis.paging import page_of
from services.ecommerce import access, events, queries, schemas
from services.ecommerce.cursors import catalogue_key, catalogue_position
from services.ecommerce.model import Product, Status

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
LONGEST_QUERY = 100

SCOPES = {
    "/xaso.ecommerce.v1.CatalogueService/GetProduct": "ecommerce.read",
    "/xaso.ecommerce.v1.CatalogueService/ListProducts": "ecommerce.read",
}


class CatalogueService(ecommerce_pb2_grpc.CatalogueServiceServicer):
    """Answers from the same queries as the pages; `public_url` is the origin of the addresses it tells."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url

    async def GetProduct(self, request: ecommerce_pb2.GetProductRequest, context: Any) -> Any:
        try:
            product_id = uuid.UUID(request.id)
        except ValueError:
            raise NotFound() from None
        # Asked as nobody: drafts are not for partners, whatever else their token may do.
        product = await access.visible(rpc.tx(), None, product_id)
        return ecommerce_pb2.GetProductResponse(product=self._message(product))

    async def ListProducts(self, request: ecommerce_pb2.ListProductsRequest, context: Any) -> Any:
        if not 0 <= request.page_size <= LARGEST_PAGE:
            raise Invalid(field="page_size", message_="Cỡ trang từ 1 đến {most}.", most=LARGEST_PAGE)
        if len(request.query) > LONGEST_QUERY or "\x00" in request.query:
            raise Invalid(field="query", message_="Từ tìm kiếm dài quá hoặc có ký tự không hợp lệ.")
        limit = request.page_size or DEFAULT_PAGE
        tx = rpc.tx()
        path = (await units.get(tx, request.unit)).path if request.unit else ""
        wanted = queries.Filter(path=path, q=request.query, key_only=request.key_only, live_only=request.live_only)
        position = catalogue_position(request.page_token)
        rows = await queries.catalogue(tx, wanted, now(), limit, position, with_listings=True)
        page = page_of(rows, limit, catalogue_key)
        products = [self._message(row.product) for row in page.items]
        return ecommerce_pb2.ListProductsResponse(products=products, next_page_token=page.next or "")

    def _message(self, product: Product) -> ecommerce_pb2.CatalogueProduct:
        message = ecommerce_pb2.CatalogueProduct(
            product=events.product_message(product, now()),
            producer_name=product.producer.name,
            description=product.description,
            price=product.price or 0,
            price_unit=product.price_unit,
            ocop_stars=product.ocop_stars or 0,
            ocop_decision=product.ocop_decision,
            page_url=schemas.page_url(product.id, self._public_url),
            photo_url=schemas.photo_url(product, self._public_url) or "",
        )
        if product.published_at is not None and product.status != Status.DRAFT:
            message.published_at.FromDatetime(product.published_at)
        return message
