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
    __slots__ = ("ratio", "flag", "count", "state")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ratio: Ratio
    flag: bool
    count: int
    state: str
    def __init__(self, ratio: _Optional[_Union[Ratio, _Mapping]] = ..., flag: _Optional[bool] = ..., count: _Optional[int] = ..., state: _Optional[str] = ...) -> None: ...

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

class WhatIfRequest(_message.Message):
    __slots__ = ("unit", "set", "changes", "targets")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    changes: _containers.RepeatedCompositeFieldContainer[SupposedChange]
    targets: _containers.RepeatedCompositeFieldContainer[SupposedTarget]
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[SupposedChange, _Mapping]]] = ..., targets: _Optional[_Iterable[_Union[SupposedTarget, _Mapping]]] = ...) -> None: ...

class SupposedChange(_message.Message):
    __slots__ = ("measure", "below", "thing", "new_things", "ratio", "flag", "count", "state", "more", "gone")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    THING_FIELD_NUMBER: _ClassVar[int]
    NEW_THINGS_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    measure: str
    below: ItemOfSet
    thing: EntityAttribute
    new_things: NewThings
    ratio: Ratio
    flag: bool
    count: int
    state: str
    more: int
    gone: bool
    def __init__(self, measure: _Optional[str] = ..., below: _Optional[_Union[ItemOfSet, _Mapping]] = ..., thing: _Optional[_Union[EntityAttribute, _Mapping]] = ..., new_things: _Optional[_Union[NewThings, _Mapping]] = ..., ratio: _Optional[_Union[Ratio, _Mapping]] = ..., flag: _Optional[bool] = ..., count: _Optional[int] = ..., state: _Optional[str] = ..., more: _Optional[int] = ..., gone: _Optional[bool] = ...) -> None: ...

class NewThings(_message.Message):
    __slots__ = ("kind", "count", "unit", "attributes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    unit: str
    attributes: _containers.RepeatedCompositeFieldContainer[StatedAttribute]
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ..., unit: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[StatedAttribute, _Mapping]]] = ...) -> None: ...

class StatedAttribute(_message.Message):
    __slots__ = ("attribute", "flag", "state")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    flag: bool
    state: str
    def __init__(self, attribute: _Optional[str] = ..., flag: _Optional[bool] = ..., state: _Optional[str] = ...) -> None: ...

class ItemOfSet(_message.Message):
    __slots__ = ("set", "item")
    SET_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    set: str
    item: str
    def __init__(self, set: _Optional[str] = ..., item: _Optional[str] = ...) -> None: ...

class SupposedTarget(_message.Message):
    __slots__ = ("item", "operator", "target", "measure")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    item: str
    operator: str
    target: str
    measure: str
    def __init__(self, item: _Optional[str] = ..., operator: _Optional[str] = ..., target: _Optional[str] = ..., measure: _Optional[str] = ...) -> None: ...

class WhatIfResponse(_message.Message):
    __slots__ = ("unit", "set", "before", "after", "items")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    before: SheetSummary
    after: SheetSummary
    items: _containers.RepeatedCompositeFieldContainer[SupposedItem]
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., before: _Optional[_Union[SheetSummary, _Mapping]] = ..., after: _Optional[_Union[SheetSummary, _Mapping]] = ..., items: _Optional[_Iterable[_Union[SupposedItem, _Mapping]]] = ...) -> None: ...

class SheetSummary(_message.Message):
    __slots__ = ("status", "met", "total")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    status: str
    met: int
    total: int
    def __init__(self, status: _Optional[str] = ..., met: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class SupposedItem(_message.Message):
    __slots__ = ("code", "title", "before", "after", "changed", "least")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    code: str
    title: str
    before: SupposedSide
    after: SupposedSide
    changed: bool
    least: Least
    def __init__(self, code: _Optional[str] = ..., title: _Optional[str] = ..., before: _Optional[_Union[SupposedSide, _Mapping]] = ..., after: _Optional[_Union[SupposedSide, _Mapping]] = ..., changed: _Optional[bool] = ..., least: _Optional[_Union[Least, _Mapping]] = ...) -> None: ...

class SupposedSide(_message.Message):
    __slots__ = ("status", "value", "target")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    status: str
    value: Value
    target: str
    def __init__(self, status: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., target: _Optional[str] = ...) -> None: ...

class Least(_message.Message):
    __slots__ = ("status", "reachable", "exact", "effort", "steps", "missing")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    status: str
    reachable: bool
    exact: bool
    effort: int
    steps: _containers.RepeatedCompositeFieldContainer[LeastStep]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, status: _Optional[str] = ..., reachable: _Optional[bool] = ..., exact: _Optional[bool] = ..., effort: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[LeastStep, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class LeastStep(_message.Message):
    __slots__ = ("kind", "measure", "item", "title", "more", "unit_of_measure", "becomes", "candidates", "candidates_total", "unreported", "nearest", "inner")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    UNIT_OF_MEASURE_FIELD_NUMBER: _ClassVar[int]
    BECOMES_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNREPORTED_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    kind: str
    measure: str
    item: ItemOfSet
    title: str
    more: int
    unit_of_measure: str
    becomes: Value
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    candidates_total: int
    unreported: int
    nearest: _containers.RepeatedCompositeFieldContainer[NearUnit]
    inner: Least
    def __init__(self, kind: _Optional[str] = ..., measure: _Optional[str] = ..., item: _Optional[_Union[ItemOfSet, _Mapping]] = ..., title: _Optional[str] = ..., more: _Optional[int] = ..., unit_of_measure: _Optional[str] = ..., becomes: _Optional[_Union[Value, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., candidates_total: _Optional[int] = ..., unreported: _Optional[int] = ..., nearest: _Optional[_Iterable[_Union[NearUnit, _Mapping]]] = ..., inner: _Optional[_Union[Least, _Mapping]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("thing", "source", "value", "counted_by", "counts_as")
    THING_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_BY_FIELD_NUMBER: _ClassVar[int]
    COUNTS_AS_FIELD_NUMBER: _ClassVar[int]
    thing: EntityAttribute
    source: str
    value: Value
    counted_by: str
    counts_as: Value
    def __init__(self, thing: _Optional[_Union[EntityAttribute, _Mapping]] = ..., source: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., counted_by: _Optional[str] = ..., counts_as: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class NearUnit(_message.Message):
    __slots__ = ("unit", "name", "effort", "missing")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    unit: str
    name: str
    effort: int
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unit: _Optional[str] = ..., name: _Optional[str] = ..., effort: _Optional[int] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("unit", "set", "item", "to", "as_of", "page_size", "page_token")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    item: str
    to: str
    as_of: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., item: _Optional[str] = ..., to: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., **kwargs) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("unit", "set", "item", "changes", "next_page_token", "points", "targets")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    set: str
    item: str
    changes: _containers.RepeatedCompositeFieldContainer[HistoryChange]
    next_page_token: str
    points: _containers.RepeatedCompositeFieldContainer[HistoryPoint]
    targets: _containers.RepeatedCompositeFieldContainer[HistoryTarget]
    def __init__(self, unit: _Optional[str] = ..., set: _Optional[str] = ..., item: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[HistoryChange, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., points: _Optional[_Iterable[_Union[HistoryPoint, _Mapping]]] = ..., targets: _Optional[_Iterable[_Union[HistoryTarget, _Mapping]]] = ...) -> None: ...

class HistoryChange(_message.Message):
    __slots__ = ("changed_at", "before", "after", "value", "because")
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    changed_at: _timestamp_pb2.Timestamp
    before: str
    after: str
    value: Value
    because: str
    def __init__(self, changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., because: _Optional[str] = ...) -> None: ...

class HistoryPoint(_message.Message):
    __slots__ = ("at", "status", "value")
    AT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    status: str
    value: Value
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class HistoryTarget(_message.Message):
    __slots__ = ("since", "operator", "number", "text", "overlay")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    since: str
    operator: str
    number: Ratio
    text: str
    overlay: str
    def __init__(self, since: _Optional[str] = ..., operator: _Optional[str] = ..., number: _Optional[_Union[Ratio, _Mapping]] = ..., text: _Optional[str] = ..., overlay: _Optional[str] = ...) -> None: ...
