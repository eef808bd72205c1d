import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from xaso.indicators.v1 import indicators_pb2 as _indicators_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ComplianceChanged(_message.Message):
    __slots__ = ("unit", "set", "item", "before", "after", "changed_at", "because", "met", "total", "value")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    item: str
    before: str
    after: str
    changed_at: _timestamp_pb2.Timestamp
    because: str
    met: int
    total: int
    value: _indicators_pb2.Value
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., item: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., because: _Optional[str] = ..., met: _Optional[int] = ..., total: _Optional[int] = ..., value: _Optional[_Union[_indicators_pb2.Value, _Mapping]] = ...) -> None: ...
