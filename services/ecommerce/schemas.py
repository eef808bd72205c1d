"""Owns the JSON of this service: what a body may be and what an answer is."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.ecommerce.channels import Channel
from services.ecommerce.commands import OpenListing, ProductFields, RegisterProducer
from services.ecommerce.forms import Decision, Description, Name, Short, ShortOrNone, Url
from services.ecommerce.model import MAX_PRICE, Listing, Phase, Producer, ProducerKind, Product, Status
from services.ecommerce.queries import Row

Price = Annotated[int, Field(strict=True, ge=1, le=MAX_PRICE, description="Whole đồng.")]
Stars = Annotated[int, Field(strict=True, ge=1, le=5)]
Instant = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2100, 1, 1, tzinfo=UTC))]


class Body(BaseModel):
    """A body says nothing that is not known: a misspelt field is an error and not a silent loss."""

    model_config = ConfigDict(extra="forbid")


Account = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]


class NewProducer(Body):
    name: Name
    kind: ProducerKind
    unit: Short = Field(description="Code of a commune or a village.")
    account: Account | None = Field(
        default=None, description="Subject of the account that acts as the producer; only staff may name another one."
    )

    def wanted(self) -> RegisterProducer:
        return RegisterProducer(self.name, self.kind, self.unit, self.account)


class ProducerChanges(Body):
    """What is left out stays as it is."""

    name: Name = ""
    kind: ProducerKind = ProducerKind.HOUSEHOLD
    account: Account | None = Field(default=None, description="Subject of the account, or null; for staff.")

    def changed(self) -> dict[str, str | None]:
        return self.model_dump(mode="json", exclude_unset=True)


class NewProduct(Body):
    producer_id: uuid.UUID
    name: Name
    description: Description = ""
    unit: Short = Field(description="Code of the village it comes from, in the producer's commune.")
    price: Price | None = None
    price_unit: ShortOrNone = Field(default="", description="What the price is for: kg, hộp, chai…")
    ocop_stars: Stars | None = None
    ocop_decision: Decision = Field(default="", description="Number of the decision that granted the stars.")

    def fields(self) -> ProductFields:
        return ProductFields(**self.model_dump(exclude={"producer_id"}))


class ProductChanges(Body):
    """What is left out stays as it is."""

    name: Name = ""
    description: Description = ""
    unit: Short = ""
    price: Price | None = None
    price_unit: ShortOrNone = ""
    ocop_stars: Stars | None = None
    ocop_decision: Decision = ""
    version: int | None = Field(default=None, description="The `version` that was read; another one now is a 412.")

    def fields(self, product: Product) -> ProductFields:
        names = tuple(ProductFields.__dataclass_fields__)
        given = self.model_dump(exclude_unset=True, exclude={"version"})
        return ProductFields(**{name: given.get(name, getattr(product, name)) for name in names})


class KeyMark(Body):
    key_product: bool = True


class NewListing(Body):
    channel: Short = Field(description="A code of /channels.")
    url: Url = Field(description="http or https address of the offer, on a host of the channel.")
    valid_from: Instant | None = Field(default=None, description="Now where it is left out.")
    valid_to: Instant | None = Field(default=None, description="First instant it no longer holds; open where left out.")

    def wanted(self) -> OpenListing:
        return OpenListing(self.channel, self.url, self.valid_from, self.valid_to)


class ChannelOut(BaseModel):
    code: str
    name: str
    hosts: list[str]

    @classmethod
    def of(cls, channel: Channel, locale: str) -> ChannelOut:
        return cls(code=channel.code, name=channel.en if locale == "en" else channel.vi, hosts=list(channel.hosts))


class ChannelList(BaseModel):
    items: list[ChannelOut]


class ProducerOut(BaseModel):
    id: uuid.UUID
    name: str
    kind: ProducerKind
    unit: str
    account: str | None
    created_at: datetime

    @classmethod
    def of(cls, producer: Producer) -> ProducerOut:
        return cls(
            id=producer.id,
            name=producer.name,
            kind=ProducerKind(producer.kind),
            unit=producer.unit,
            account=producer.account,
            created_at=producer.created_at,
        )


class ProducerList(BaseModel):
    items: list[ProducerOut]
    next: str | None


class ListingOut(BaseModel):
    id: uuid.UUID
    channel: str
    url: str
    valid_from: datetime
    valid_to: datetime | None
    phase: Phase
    live: bool

    @classmethod
    def of(cls, product: Product, listing: Listing, at: datetime) -> ListingOut:
        return cls(
            id=listing.id,
            channel=listing.channel,
            url=listing.url,
            valid_from=listing.valid_from,
            valid_to=listing.valid_to,
            phase=listing.phase(at),
            live=product.is_live(listing, at),
        )


class ListingList(BaseModel):
    items: list[ListingOut]
    next: str | None


class ProducerName(BaseModel):
    id: uuid.UUID
    name: str
    kind: ProducerKind


class ProductSummary(BaseModel):
    id: uuid.UUID
    producer: ProducerName
    unit: str
    name: str
    price: int | None
    price_unit: str
    ocop_stars: int | None
    key_product: bool
    status: Status
    live_listings: int
    page_url: str
    photo_url: str | None
    published_at: datetime | None

    @classmethod
    def of(cls, row: Row, public_url: str) -> ProductSummary:
        return cls(**_summary(row.product, row.live, public_url))


class ProductList(BaseModel):
    items: list[ProductSummary]
    next: str | None


class ProductOut(ProductSummary):
    description: str
    ocop_decision: str
    version: int
    created_at: datetime
    changed_at: datetime
    listings: list[ListingOut]

    @classmethod
    def whole(cls, product: Product, at: datetime, public_url: str) -> ProductOut:
        return cls(
            **_summary(product, len(product.live_listings(at)), public_url),
            description=product.description,
            ocop_decision=product.ocop_decision,
            version=product.version,
            created_at=product.created_at,
            changed_at=product.changed_at,
            listings=[ListingOut.of(product, listing, at) for listing in product.listings],
        )


def page_url(product_id: uuid.UUID, public_url: str) -> str:
    """The address in the QR code: it never changes, also when the product is withdrawn."""
    return f"{public_url}/ecommerce/products/{product_id}"


def photo_url(product: Product, public_url: str) -> str | None:
    """The address of the photo; the digest in it lets a browser keep one picture for good and see the next one."""
    if product.photo is None:
        return None
    return f"{page_url(product.id, public_url)}/photo?v={product.photo[:16]}"


def _summary(product: Product, live: int, public_url: str) -> dict[str, Any]:
    producer = product.producer
    return {
        "id": product.id,
        "producer": ProducerName(id=producer.id, name=producer.name, kind=ProducerKind(producer.kind)),
        "unit": product.unit,
        "name": product.name,
        "price": product.price,
        "price_unit": product.price_unit,
        "ocop_stars": product.ocop_stars,
        "key_product": product.key_product,
        "status": Status(product.status),
        "live_listings": live,
        "page_url": page_url(product.id, public_url),
        "photo_url": photo_url(product, public_url),
        "published_at": product.published_at,
    }
