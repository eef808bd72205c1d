import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Petition(_message.Message):
    __slots__ = ("id", "code", "commune", "village", "category", "status", "channel", "filed_at", "due_at", "answered_at", "closed_at", "rating")
    ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    VILLAGE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    FILED_AT_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    id: str
    code: str
    commune: str
    village: str
    category: str
    status: str
    channel: str
    filed_at: _timestamp_pb2.Timestamp
    due_at: _timestamp_pb2.Timestamp
    answered_at: _timestamp_pb2.Timestamp
    closed_at: _timestamp_pb2.Timestamp
    rating: int
    def __init__(self, id: _Optional[str] = ..., code: _Optional[str] = ..., commune: _Optional[str] = ..., village: _Optional[str] = ..., category: _Optional[str] = ..., status: _Optional[str] = ..., channel: _Optional[str] = ..., filed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rating: _Optional[int] = ...) -> None: ...

class PetitionFiled(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: Petition
    def __init__(self, petition: _Optional[_Union[Petition, _Mapping]] = ...) -> None: ...

class PetitionRouted(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: Petition
    def __init__(self, petition: _Optional[_Union[Petition, _Mapping]] = ...) -> None: ...

class PetitionAnswered(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: Petition
    def __init__(self, petition: _Optional[_Union[Petition, _Mapping]] = ...) -> None: ...

class PetitionClosed(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: Petition
    def __init__(self, petition: _Optional[_Union[Petition, _Mapping]] = ...) -> None: ...

class PetitionRated(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: Petition
    def __init__(self, petition: _Optional[_Union[Petition, _Mapping]] = ...) -> None: ...

class PetitionReopened(_message.Message):
    __slots__ = ("petition",)
    PETITION_FIELD_NUMBER: _ClassVar[int]
    petition: Petition
    def __init__(self, petition: _Optional[_Union[Petition, _Mapping]] = ...) -> None: ...

class Poll(_message.Message):
    __slots__ = ("id", "unit", "commune", "villages", "purpose", "status", "opens_at", "closes_at", "answers", "assisted", "responded", "responded_on")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    VILLAGES_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OPENS_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSES_AT_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ASSISTED_FIELD_NUMBER: _ClassVar[int]
    RESPONDED_FIELD_NUMBER: _ClassVar[int]
    RESPONDED_ON_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    commune: str
    villages: _containers.RepeatedScalarFieldContainer[str]
    purpose: str
    status: str
    opens_at: _timestamp_pb2.Timestamp
    closes_at: _timestamp_pb2.Timestamp
    answers: int
    assisted: int
    responded: bool
    responded_on: str
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., commune: _Optional[str] = ..., villages: _Optional[_Iterable[str]] = ..., purpose: _Optional[str] = ..., status: _Optional[str] = ..., opens_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closes_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answers: _Optional[int] = ..., assisted: _Optional[int] = ..., responded: _Optional[bool] = ..., responded_on: _Optional[str] = ...) -> None: ...

class PollPublished(_message.Message):
    __slots__ = ("poll",)
    POLL_FIELD_NUMBER: _ClassVar[int]
    poll: Poll
    def __init__(self, poll: _Optional[_Union[Poll, _Mapping]] = ...) -> None: ...

class PollAnswered(_message.Message):
    __slots__ = ("poll",)
    POLL_FIELD_NUMBER: _ClassVar[int]
    poll: Poll
    def __init__(self, poll: _Optional[_Union[Poll, _Mapping]] = ...) -> None: ...

class PollClosed(_message.Message):
    __slots__ = ("poll",)
    POLL_FIELD_NUMBER: _ClassVar[int]
    poll: Poll
    def __init__(self, poll: _Optional[_Union[Poll, _Mapping]] = ...) -> None: ...

class PollResponded(_message.Message):
    __slots__ = ("poll",)
    POLL_FIELD_NUMBER: _ClassVar[int]
    poll: Poll
    def __init__(self, poll: _Optional[_Union[Poll, _Mapping]] = ...) -> None: ...

class ForumThread(_message.Message):
    __slots__ = ("id", "commune", "village", "topic", "status", "posts", "communes", "begun_at", "last_posted_at", "participations")
    ID_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    VILLAGE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSTS_FIELD_NUMBER: _ClassVar[int]
    COMMUNES_FIELD_NUMBER: _ClassVar[int]
    BEGUN_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_POSTED_AT_FIELD_NUMBER: _ClassVar[int]
    PARTICIPATIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    commune: str
    village: str
    topic: str
    status: str
    posts: int
    communes: _containers.RepeatedScalarFieldContainer[str]
    begun_at: _timestamp_pb2.Timestamp
    last_posted_at: _timestamp_pb2.Timestamp
    participations: _containers.RepeatedCompositeFieldContainer[ForumParticipation]
    def __init__(self, id: _Optional[str] = ..., commune: _Optional[str] = ..., village: _Optional[str] = ..., topic: _Optional[str] = ..., status: _Optional[str] = ..., posts: _Optional[int] = ..., communes: _Optional[_Iterable[str]] = ..., begun_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_posted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., participations: _Optional[_Iterable[_Union[ForumParticipation, _Mapping]]] = ...) -> None: ...

class ForumParticipation(_message.Message):
    __slots__ = ("year", "commune", "posts", "villages")
    YEAR_FIELD_NUMBER: _ClassVar[int]
    COMMUNE_FIELD_NUMBER: _ClassVar[int]
    POSTS_FIELD_NUMBER: _ClassVar[int]
    VILLAGES_FIELD_NUMBER: _ClassVar[int]
    year: int
    commune: str
    posts: int
    villages: int
    def __init__(self, year: _Optional[int] = ..., commune: _Optional[str] = ..., posts: _Optional[int] = ..., villages: _Optional[int] = ...) -> None: ...

class ForumThreadChanged(_message.Message):
    __slots__ = ("thread",)
    THREAD_FIELD_NUMBER: _ClassVar[int]
    thread: ForumThread
    def __init__(self, thread: _Optional[_Union[ForumThread, _Mapping]] = ...) -> None: ...
