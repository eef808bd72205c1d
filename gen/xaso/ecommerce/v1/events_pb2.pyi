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
