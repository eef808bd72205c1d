import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from xaso.ecommerce.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetProductRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetProductResponse(_message.Message):
    __slots__ = ("product",)
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    product: CatalogueProduct
    def __init__(self, product: _Optional[_Union[CatalogueProduct, _Mapping]] = ...) -> None: ...

class ListProductsRequest(_message.Message):
    __slots__ = ("unit", "query", "key_only", "live_only", "page_size", "page_token")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    KEY_ONLY_FIELD_NUMBER: _ClassVar[int]
    LIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    unit: str
    query: str
    key_only: bool
    live_only: bool
    page_size: int
    page_token: str
    def __init__(self, unit: _Optional[str] = ..., query: _Optional[str] = ..., key_only: _Optional[bool] = ..., live_only: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProductsResponse(_message.Message):
    __slots__ = ("products", "next_page_token")
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    products: _containers.RepeatedCompositeFieldContainer[CatalogueProduct]
    next_page_token: str
    def __init__(self, products: _Optional[_Iterable[_Union[CatalogueProduct, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CatalogueProduct(_message.Message):
    __slots__ = ("product", "producer_name", "description", "price", "price_unit", "ocop_stars", "ocop_decision", "page_url", "photo_url", "published_at")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    PRICE_UNIT_FIELD_NUMBER: _ClassVar[int]
    OCOP_STARS_FIELD_NUMBER: _ClassVar[int]
    OCOP_DECISION_FIELD_NUMBER: _ClassVar[int]
    PAGE_URL_FIELD_NUMBER: _ClassVar[int]
    PHOTO_URL_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    product: _events_pb2.Product
    producer_name: str
    description: str
    price: int
    price_unit: str
    ocop_stars: int
    ocop_decision: str
    page_url: str
    photo_url: str
    published_at: _timestamp_pb2.Timestamp
    def __init__(self, product: _Optional[_Union[_events_pb2.Product, _Mapping]] = ..., producer_name: _Optional[str] = ..., description: _Optional[str] = ..., price: _Optional[int] = ..., price_unit: _Optional[str] = ..., ocop_stars: _Optional[int] = ..., ocop_decision: _Optional[str] = ..., page_url: _Optional[str] = ..., photo_url: _Optional[str] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
