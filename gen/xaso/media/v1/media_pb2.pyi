import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from xaso.media.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetLoudspeakerRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetLoudspeakerResponse(_message.Message):
    __slots__ = ("loudspeaker", "last_heartbeat_at")
    LOUDSPEAKER_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARTBEAT_AT_FIELD_NUMBER: _ClassVar[int]
    loudspeaker: _events_pb2.Loudspeaker
    last_heartbeat_at: _timestamp_pb2.Timestamp
    def __init__(self, loudspeaker: _Optional[_Union[_events_pb2.Loudspeaker, _Mapping]] = ..., last_heartbeat_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListLoudspeakersRequest(_message.Message):
    __slots__ = ("unit", "page_size", "page_token", "include_retired")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RETIRED_FIELD_NUMBER: _ClassVar[int]
    unit: str
    page_size: int
    page_token: str
    include_retired: bool
    def __init__(self, unit: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_retired: _Optional[bool] = ...) -> None: ...

class ListLoudspeakersResponse(_message.Message):
    __slots__ = ("loudspeakers", "next_page_token")
    LOUDSPEAKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    loudspeakers: _containers.RepeatedCompositeFieldContainer[_events_pb2.Loudspeaker]
    next_page_token: str
    def __init__(self, loudspeakers: _Optional[_Iterable[_Union[_events_pb2.Loudspeaker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCameraRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetCameraResponse(_message.Message):
    __slots__ = ("camera", "online_seconds", "offline_seconds", "unknown_seconds", "maintenance_seconds")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    ONLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OFFLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    camera: _events_pb2.Camera
    online_seconds: int
    offline_seconds: int
    unknown_seconds: int
    maintenance_seconds: int
    def __init__(self, camera: _Optional[_Union[_events_pb2.Camera, _Mapping]] = ..., online_seconds: _Optional[int] = ..., offline_seconds: _Optional[int] = ..., unknown_seconds: _Optional[int] = ..., maintenance_seconds: _Optional[int] = ...) -> None: ...

class ListCamerasRequest(_message.Message):
    __slots__ = ("unit", "page_size", "page_token", "include_retired")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RETIRED_FIELD_NUMBER: _ClassVar[int]
    unit: str
    page_size: int
    page_token: str
    include_retired: bool
    def __init__(self, unit: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_retired: _Optional[bool] = ...) -> None: ...

class ListCamerasResponse(_message.Message):
    __slots__ = ("cameras", "next_page_token")
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cameras: _containers.RepeatedCompositeFieldContainer[_events_pb2.Camera]
    next_page_token: str
    def __init__(self, cameras: _Optional[_Iterable[_Union[_events_pb2.Camera, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
