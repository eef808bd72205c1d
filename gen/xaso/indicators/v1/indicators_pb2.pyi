import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ratio(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class EntityAttribute(_message.Message):
    __slots__ = ("attribute", "entity")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    entity: str
    def __init__(self, attribute: _Optional[str] = ..., entity: _Optional[str] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("id", "unit", "measure", "fact", "period", "ratio", "flag", "count", "state", "observed_at", "source", "withdrawn")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_AT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    measure: str
    fact: EntityAttribute
    period: str
    ratio: Ratio
    flag: bool
    count: int
    state: str
    observed_at: _timestamp_pb2.Timestamp
    source: str
    withdrawn: bool
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., measure: _Optional[str] = ..., fact: _Optional[_Union[EntityAttribute, _Mapping]] = ..., period: _Optional[str] = ..., ratio: _Optional[_Union[Ratio, _Mapping]] = ..., flag: _Optional[bool] = ..., count: _Optional[int] = ..., state: _Optional[str] = ..., observed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., withdrawn: _Optional[bool] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("id", "reason", "detail")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    detail: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("accepted", "duplicate", "rejected", "rejections")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    duplicate: int
    rejected: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    def __init__(self, accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., rejected: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ...) -> None: ...

class SubmitStreamRequest(_message.Message):
    __slots__ = ("open", "item")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    open: StreamOpen
    item: StreamItem
    def __init__(self, open: _Optional[_Union[StreamOpen, _Mapping]] = ..., item: _Optional[_Union[StreamItem, _Mapping]] = ...) -> None: ...

class StreamOpen(_message.Message):
    __slots__ = ("stream",)
    STREAM_FIELD_NUMBER: _ClassVar[int]
    stream: str
    def __init__(self, stream: _Optional[str] = ...) -> None: ...

class StreamItem(_message.Message):
    __slots__ = ("position", "observation")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    position: int
    observation: Observation
    def __init__(self, position: _Optional[int] = ..., observation: _Optional[_Union[Observation, _Mapping]] = ...) -> None: ...

class SubmitStreamResponse(_message.Message):
    __slots__ = ("position", "accepted", "duplicate", "rejections", "skipped")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    position: int
    accepted: int
    duplicate: int
    rejections: _containers.RepeatedCompositeFieldContainer[StreamRejection]
    skipped: int
    def __init__(self, position: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[StreamRejection, _Mapping]]] = ..., skipped: _Optional[int] = ...) -> None: ...

class StreamRejection(_message.Message):
    __slots__ = ("position", "id", "reason", "detail")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    position: int
    id: str
    reason: str
    detail: str
    def __init__(self, position: _Optional[int] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("unit", "set", "as_of")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("ratio", "flag", "count")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ratio: Ratio
    flag: bool
    count: int
    def __init__(self, ratio: _Optional[_Union[Ratio, _Mapping]] = ..., flag: _Optional[bool] = ..., count: _Optional[int] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("code", "title", "status", "value", "target", "changed_at", "because")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    code: str
    title: str
    status: str
    value: Value
    target: str
    changed_at: _timestamp_pb2.Timestamp
    because: str
    def __init__(self, code: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., target: _Optional[str] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., because: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("unit", "set", "status", "met", "total", "items")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    status: str
    met: int
    total: int
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., status: _Optional[str] = ..., met: _Optional[int] = ..., total: _Optional[int] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("unit", "set", "resume_token")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    resume_token: str
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("resume_token", "unit", "set", "item", "before", "after", "value", "changed_at", "because", "met", "total")
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    resume_token: str
    unit: str
    set: str
    item: str
    before: str
    after: str
    value: Value
    changed_at: _timestamp_pb2.Timestamp
    because: str
    met: int
    total: int
    def __init__(self, resume_token: _Optional[str] = ..., unit: _Optional[str] = ..., set: _Optional[str] = ..., item: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., because: _Optional[str] = ..., met: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...
