import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Loudspeaker(_message.Message):
    __slots__ = ("id", "unit", "name", "state", "state_since", "smart", "in_service", "last_acknowledged_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_SINCE_FIELD_NUMBER: _ClassVar[int]
    SMART_FIELD_NUMBER: _ClassVar[int]
    IN_SERVICE_FIELD_NUMBER: _ClassVar[int]
    LAST_ACKNOWLEDGED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    name: str
    state: str
    state_since: _timestamp_pb2.Timestamp
    smart: bool
    in_service: bool
    last_acknowledged_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., state_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., smart: _Optional[bool] = ..., in_service: _Optional[bool] = ..., last_acknowledged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LoudspeakerRegistered(_message.Message):
    __slots__ = ("loudspeaker",)
    LOUDSPEAKER_FIELD_NUMBER: _ClassVar[int]
    loudspeaker: Loudspeaker
    def __init__(self, loudspeaker: _Optional[_Union[Loudspeaker, _Mapping]] = ...) -> None: ...

class LoudspeakerStateChanged(_message.Message):
    __slots__ = ("loudspeaker",)
    LOUDSPEAKER_FIELD_NUMBER: _ClassVar[int]
    loudspeaker: Loudspeaker
    def __init__(self, loudspeaker: _Optional[_Union[Loudspeaker, _Mapping]] = ...) -> None: ...

class LoudspeakerRetired(_message.Message):
    __slots__ = ("loudspeaker",)
    LOUDSPEAKER_FIELD_NUMBER: _ClassVar[int]
    loudspeaker: Loudspeaker
    def __init__(self, loudspeaker: _Optional[_Union[Loudspeaker, _Mapping]] = ...) -> None: ...

class BulletinAcknowledged(_message.Message):
    __slots__ = ("bulletin_id", "loudspeaker")
    BULLETIN_ID_FIELD_NUMBER: _ClassVar[int]
    LOUDSPEAKER_FIELD_NUMBER: _ClassVar[int]
    bulletin_id: str
    loudspeaker: Loudspeaker
    def __init__(self, bulletin_id: _Optional[str] = ..., loudspeaker: _Optional[_Union[Loudspeaker, _Mapping]] = ...) -> None: ...

class VillageAudibilityChanged(_message.Message):
    __slots__ = ("unit", "clusters", "clusters_in_earshot")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_IN_EARSHOT_FIELD_NUMBER: _ClassVar[int]
    unit: str
    clusters: int
    clusters_in_earshot: int
    def __init__(self, unit: _Optional[str] = ..., clusters: _Optional[int] = ..., clusters_in_earshot: _Optional[int] = ...) -> None: ...

class Camera(_message.Message):
    __slots__ = ("id", "unit", "name", "place", "state", "state_since", "in_hub", "retired")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_SINCE_FIELD_NUMBER: _ClassVar[int]
    IN_HUB_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    name: str
    place: str
    state: str
    state_since: _timestamp_pb2.Timestamp
    in_hub: bool
    retired: bool
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., name: _Optional[str] = ..., place: _Optional[str] = ..., state: _Optional[str] = ..., state_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_hub: _Optional[bool] = ..., retired: _Optional[bool] = ...) -> None: ...

class CameraRegistered(_message.Message):
    __slots__ = ("camera",)
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    camera: Camera
    def __init__(self, camera: _Optional[_Union[Camera, _Mapping]] = ...) -> None: ...

class CameraStateChanged(_message.Message):
    __slots__ = ("camera",)
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    camera: Camera
    def __init__(self, camera: _Optional[_Union[Camera, _Mapping]] = ...) -> None: ...

class CameraRetired(_message.Message):
    __slots__ = ("camera",)
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    camera: Camera
    def __init__(self, camera: _Optional[_Union[Camera, _Mapping]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("id", "unit", "commune", "topic", "status", "published_at", "subscriptions", "received", "opened")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    commune: str
    topic: str
    status: str
    published_at: _timestamp_pb2.Timestamp
    subscriptions: int
    received: int
    opened: int
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., commune: _Optional[str] = ..., topic: _Optional[str] = ..., status: _Optional[str] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subscriptions: _Optional[int] = ..., received: _Optional[int] = ..., opened: _Optional[int] = ...) -> None: ...

class NoticePublished(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class NoticeReceived(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class NoticeWithdrawn(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class CameraWatch(_message.Message):
    __slots__ = ("camera_id", "unit", "rules_active", "working", "last_evaluated_at", "alerts_this_month")
    CAMERA_ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    RULES_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    WORKING_FIELD_NUMBER: _ClassVar[int]
    LAST_EVALUATED_AT_FIELD_NUMBER: _ClassVar[int]
    ALERTS_THIS_MONTH_FIELD_NUMBER: _ClassVar[int]
    camera_id: str
    unit: str
    rules_active: int
    working: bool
    last_evaluated_at: _timestamp_pb2.Timestamp
    alerts_this_month: int
    def __init__(self, camera_id: _Optional[str] = ..., unit: _Optional[str] = ..., rules_active: _Optional[int] = ..., working: _Optional[bool] = ..., last_evaluated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., alerts_this_month: _Optional[int] = ...) -> None: ...

class CameraWatchChanged(_message.Message):
    __slots__ = ("watch",)
    WATCH_FIELD_NUMBER: _ClassVar[int]
    watch: CameraWatch
    def __init__(self, watch: _Optional[_Union[CameraWatch, _Mapping]] = ...) -> None: ...
