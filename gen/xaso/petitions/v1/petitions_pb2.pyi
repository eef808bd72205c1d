import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from xaso.petitions.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: PetitionDetail
    def __init__(self, petition: _Optional[_Union[PetitionDetail, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("unit", "statuses", "page_size", "page_token")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    unit: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, unit: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("petitions", "next_page_token")
    PETITIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    petitions: _containers.RepeatedCompositeFieldContainer[PetitionDetail]
    next_page_token: str
    def __init__(self, petitions: _Optional[_Iterable[_Union[PetitionDetail, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FileRequest(_message.Message):
    __slots__ = ("commune", "village", "category", "description", "place", "lat", "lon", "contact_phone", "received_at", "channel", "private")
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    VILLAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    LAT_FIELD_NUMBER: _ClassVar[int]
    LON_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PHONE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    commune: str
    village: str
    category: str
    description: str
    place: str
    lat: float
    lon: float
    contact_phone: str
    received_at: _timestamp_pb2.Timestamp
    channel: str
    private: bool
    def __init__(self, commune: _Optional[str] = ..., village: _Optional[str] = ..., category: _Optional[str] = ..., description: _Optional[str] = ..., place: _Optional[str] = ..., lat: _Optional[float] = ..., lon: _Optional[float] = ..., contact_phone: _Optional[str] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., channel: _Optional[str] = ..., private: _Optional[bool] = ...) -> None: ...

class FileResponse(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: PetitionDetail
    def __init__(self, petition: _Optional[_Union[PetitionDetail, _Mapping]] = ...) -> None: ...

class PetitionDetail(_message.Message):
    __slots__ = ("state", "description", "place", "lat", "lon", "answer", "public")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    LAT_FIELD_NUMBER: _ClassVar[int]
    LON_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    state: _events_pb2.Petition
    description: str
    place: str
    lat: float
    lon: float
    answer: str
    public: bool
    def __init__(self, state: _Optional[_Union[_events_pb2.Petition, _Mapping]] = ..., description: _Optional[str] = ..., place: _Optional[str] = ..., lat: _Optional[float] = ..., lon: _Optional[float] = ..., answer: _Optional[str] = ..., public: _Optional[bool] = ...) -> None: ...
