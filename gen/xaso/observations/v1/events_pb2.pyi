import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Share(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class ObservationRecorded(_message.Message):
    __slots__ = ("unit", "measure", "attribute", "entity", "period", "ratio", "flag", "count", "state", "observed_at", "evidence", "withdrawn")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_AT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    unit: str
    measure: str
    attribute: str
    entity: str
    period: str
    ratio: Share
    flag: bool
    count: int
    state: str
    observed_at: _timestamp_pb2.Timestamp
    evidence: str
    withdrawn: bool
    def __init__(self, unit: _Optional[str] = ..., measure: _Optional[str] = ..., attribute: _Optional[str] = ..., entity: _Optional[str] = ..., period: _Optional[str] = ..., ratio: _Optional[_Union[Share, _Mapping]] = ..., flag: _Optional[bool] = ..., count: _Optional[int] = ..., state: _Optional[str] = ..., observed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., evidence: _Optional[str] = ..., withdrawn: _Optional[bool] = ...) -> None: ...
