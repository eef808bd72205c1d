import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Listing(_message.Message):
    __slots__ = ("id", "channel", "url", "valid_from", "valid_to", "live")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_TO_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    id: str
    channel: str
    url: str
    valid_from: _timestamp_pb2.Timestamp
    valid_to: _timestamp_pb2.Timestamp
    live: bool
    def __init__(self, id: _Optional[str] = ..., channel: _Optional[str] = ..., url: _Optional[str] = ..., valid_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., valid_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., live: _Optional[bool] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("id", "unit", "producer_id", "name", "key_product", "status", "listings", "live_listings", "ocop_stars")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_PRODUCT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LISTINGS_FIELD_NUMBER: _ClassVar[int]
    LIVE_LISTINGS_FIELD_NUMBER: _ClassVar[int]
    OCOP_STARS_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    producer_id: str
    name: str
    key_product: bool
    status: str
    listings: _containers.RepeatedCompositeFieldContainer[Listing]
    live_listings: int
    ocop_stars: int
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., producer_id: _Optional[str] = ..., name: _Optional[str] = ..., key_product: _Optional[bool] = ..., status: _Optional[str] = ..., listings: _Optional[_Iterable[_Union[Listing, _Mapping]]] = ..., live_listings: _Optional[int] = ..., ocop_stars: _Optional[int] = ...) -> None: ...

class ProductPublished(_message.Message):
    __slots__ = ("product",)
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    product: Product
    def __init__(self, product: _Optional[_Union[Product, _Mapping]] = ...) -> None: ...

class ProductChanged(_message.Message):
    __slots__ = ("product",)
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    product: Product
    def __init__(self, product: _Optional[_Union[Product, _Mapping]] = ...) -> None: ...

class ProductWithdrawn(_message.Message):
    __slots__ = ("product",)
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    product: Product
    def __init__(self, product: _Optional[_Union[Product, _Mapping]] = ...) -> None: ...

class ListingOpened(_message.Message):
    __slots__ = ("product", "listing")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    LISTING_FIELD_NUMBER: _ClassVar[int]
    product: Product
    listing: Listing
    def __init__(self, product: _Optional[_Union[Product, _Mapping]] = ..., listing: _Optional[_Union[Listing, _Mapping]] = ...) -> None: ...

class ListingEnded(_message.Message):
    __slots__ = ("product", "listing")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    LISTING_FIELD_NUMBER: _ClassVar[int]
    product: Product
    listing: Listing
    def __init__(self, product: _Optional[_Union[Product, _Mapping]] = ..., listing: _Optional[_Union[Listing, _Mapping]] = ...) -> None: ...

class HouseholdPayment(_message.Message):
    __slots__ = ("household_id", "unit", "commune", "year", "paid_online", "services", "ended")
    HOUSEHOLD_ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    PAID_ONLINE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    household_id: str
    unit: str
    commune: str
    year: int
    paid_online: int
    services: _containers.RepeatedScalarFieldContainer[str]
    ended: bool
    def __init__(self, household_id: _Optional[str] = ..., unit: _Optional[str] = ..., commune: _Optional[str] = ..., year: _Optional[int] = ..., paid_online: _Optional[int] = ..., services: _Optional[_Iterable[str]] = ..., ended: _Optional[bool] = ...) -> None: ...

class HouseholdPaymentChanged(_message.Message):
    __slots__ = ("payment",)
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    payment: HouseholdPayment
    def __init__(self, payment: _Optional[_Union[HouseholdPayment, _Mapping]] = ...) -> None: ...

class Business(_message.Message):
    __slots__ = ("id", "unit", "commune", "online_payment", "ended")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    ONLINE_PAYMENT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    commune: str
    online_payment: bool
    ended: bool
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., commune: _Optional[str] = ..., online_payment: _Optional[bool] = ..., ended: _Optional[bool] = ...) -> None: ...

class BusinessChanged(_message.Message):
    __slots__ = ("business",)
    BUSINESS_FIELD_NUMBER: _ClassVar[int]
    business: Business
    def __init__(self, business: _Optional[_Union[Business, _Mapping]] = ...) -> None: ...

class TourismPoint(_message.Message):
    __slots__ = ("id", "unit", "commune", "kind", "status", "has_location", "has_opening", "bookable", "bookings_this_year")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HAS_LOCATION_FIELD_NUMBER: _ClassVar[int]
    HAS_OPENING_FIELD_NUMBER: _ClassVar[int]
    BOOKABLE_FIELD_NUMBER: _ClassVar[int]
    BOOKINGS_THIS_YEAR_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    commune: str
    kind: str
    status: str
    has_location: bool
    has_opening: bool
    bookable: bool
    bookings_this_year: int
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., commune: _Optional[str] = ..., kind: _Optional[str] = ..., status: _Optional[str] = ..., has_location: _Optional[bool] = ..., has_opening: _Optional[bool] = ..., bookable: _Optional[bool] = ..., bookings_this_year: _Optional[int] = ...) -> None: ...

class TourismPointChanged(_message.Message):
    __slots__ = ("point",)
    POINT_FIELD_NUMBER: _ClassVar[int]
    point: TourismPoint
    def __init__(self, point: _Optional[_Union[TourismPoint, _Mapping]] = ...) -> None: ...

class Lot(_message.Message):
    __slots__ = ("id", "code", "unit", "commune", "producer_id", "cooperative", "product_id", "status", "diary_entries", "households", "traceable", "published_at", "year")
    ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_ID_FIELD_NUMBER: _ClassVar[int]
    COOPERATIVE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DIARY_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    HOUSEHOLDS_FIELD_NUMBER: _ClassVar[int]
    TRACEABLE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    id: str
    code: str
    unit: str
    commune: str
    producer_id: str
    cooperative: bool
    product_id: str
    status: str
    diary_entries: int
    households: int
    traceable: bool
    published_at: _timestamp_pb2.Timestamp
    year: int
    def __init__(self, id: _Optional[str] = ..., code: _Optional[str] = ..., unit: _Optional[str] = ..., commune: _Optional[str] = ..., producer_id: _Optional[str] = ..., cooperative: _Optional[bool] = ..., product_id: _Optional[str] = ..., status: _Optional[str] = ..., diary_entries: _Optional[int] = ..., households: _Optional[int] = ..., traceable: _Optional[bool] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., year: _Optional[int] = ...) -> None: ...

class LotChanged(_message.Message):
    __slots__ = ("lot",)
    LOT_FIELD_NUMBER: _ClassVar[int]
    lot: Lot
    def __init__(self, lot: _Optional[_Union[Lot, _Mapping]] = ...) -> None: ...
