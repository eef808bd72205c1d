import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Unit(_message.Message):
    __slots__ = ("code", "name", "level", "kind", "parent", "path", "valid_from", "valid_to")
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_TO_FIELD_NUMBER: _ClassVar[int]
    code: str
    name: str
    level: str
    kind: str
    parent: str
    path: str
    valid_from: str
    valid_to: str
    def __init__(self, code: _Optional[str] = ..., name: _Optional[str] = ..., level: _Optional[str] = ..., kind: _Optional[str] = ..., parent: _Optional[str] = ..., path: _Optional[str] = ..., valid_from: _Optional[str] = ..., valid_to: _Optional[str] = ...) -> None: ...

class UnitEntered(_message.Message):
    __slots__ = ("unit",)
    UNIT_FIELD_NUMBER: _ClassVar[int]
    unit: Unit
    def __init__(self, unit: _Optional[_Union[Unit, _Mapping]] = ...) -> None: ...

class UnitChanged(_message.Message):
    __slots__ = ("unit",)
    UNIT_FIELD_NUMBER: _ClassVar[int]
    unit: Unit
    def __init__(self, unit: _Optional[_Union[Unit, _Mapping]] = ...) -> None: ...

class UnitEnded(_message.Message):
    __slots__ = ("unit",)
    UNIT_FIELD_NUMBER: _ClassVar[int]
    unit: Unit
    def __init__(self, unit: _Optional[_Union[Unit, _Mapping]] = ...) -> None: ...

class DigitalTeam(_message.Message):
    __slots__ = ("id", "unit", "name", "member_count", "registered_on", "last_activity_on", "activities_by_year", "dissolved_on", "classes_by_year")
    class ActivitiesByYearEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class ClassesByYearEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMBER_COUNT_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_ON_FIELD_NUMBER: _ClassVar[int]
    LAST_ACTIVITY_ON_FIELD_NUMBER: _ClassVar[int]
    ACTIVITIES_BY_YEAR_FIELD_NUMBER: _ClassVar[int]
    DISSOLVED_ON_FIELD_NUMBER: _ClassVar[int]
    CLASSES_BY_YEAR_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    name: str
    member_count: int
    registered_on: str
    last_activity_on: str
    activities_by_year: _containers.ScalarMap[int, int]
    dissolved_on: str
    classes_by_year: _containers.ScalarMap[int, int]
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., name: _Optional[str] = ..., member_count: _Optional[int] = ..., registered_on: _Optional[str] = ..., last_activity_on: _Optional[str] = ..., activities_by_year: _Optional[_Mapping[int, int]] = ..., dissolved_on: _Optional[str] = ..., classes_by_year: _Optional[_Mapping[int, int]] = ...) -> None: ...

class DigitalTeamRegistered(_message.Message):
    __slots__ = ("team",)
    TEAM_FIELD_NUMBER: _ClassVar[int]
    team: DigitalTeam
    def __init__(self, team: _Optional[_Union[DigitalTeam, _Mapping]] = ...) -> None: ...

class DigitalTeamActivityLogged(_message.Message):
    __slots__ = ("team",)
    TEAM_FIELD_NUMBER: _ClassVar[int]
    team: DigitalTeam
    def __init__(self, team: _Optional[_Union[DigitalTeam, _Mapping]] = ...) -> None: ...

class DigitalTeamDissolved(_message.Message):
    __slots__ = ("team",)
    TEAM_FIELD_NUMBER: _ClassVar[int]
    team: DigitalTeam
    def __init__(self, team: _Optional[_Union[DigitalTeam, _Mapping]] = ...) -> None: ...

class StaffMember(_message.Message):
    __slots__ = ("id", "unit", "level", "serving", "contact_public", "mobile_internet")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    CONTACT_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    MOBILE_INTERNET_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    level: str
    serving: bool
    contact_public: bool
    mobile_internet: str
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., level: _Optional[str] = ..., serving: _Optional[bool] = ..., contact_public: _Optional[bool] = ..., mobile_internet: _Optional[str] = ...) -> None: ...

class StaffMemberChanged(_message.Message):
    __slots__ = ("member",)
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    member: StaffMember
    def __init__(self, member: _Optional[_Union[StaffMember, _Mapping]] = ...) -> None: ...

class Household(_message.Message):
    __slots__ = ("id", "unit", "number", "people", "digital_address", "economy_known", "reviewed_year", "ended", "changed_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    DIGITAL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ECONOMY_KNOWN_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_YEAR_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    unit: str
    number: str
    people: int
    digital_address: bool
    economy_known: bool
    reviewed_year: int
    ended: bool
    changed_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., unit: _Optional[str] = ..., number: _Optional[str] = ..., people: _Optional[int] = ..., digital_address: _Optional[bool] = ..., economy_known: _Optional[bool] = ..., reviewed_year: _Optional[int] = ..., ended: _Optional[bool] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HouseholdChanged(_message.Message):
    __slots__ = ("household",)
    HOUSEHOLD_FIELD_NUMBER: _ClassVar[int]
    household: Household
    def __init__(self, household: _Optional[_Union[Household, _Mapping]] = ...) -> None: ...

class HouseholdRegister(_message.Message):
    __slots__ = ("unit", "villages", "villages_recorded", "villages_reviewed", "year", "households", "households_located", "households_in_all", "offices", "offices_located")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VILLAGES_FIELD_NUMBER: _ClassVar[int]
    VILLAGES_RECORDED_FIELD_NUMBER: _ClassVar[int]
    VILLAGES_REVIEWED_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    HOUSEHOLDS_FIELD_NUMBER: _ClassVar[int]
    HOUSEHOLDS_LOCATED_FIELD_NUMBER: _ClassVar[int]
    HOUSEHOLDS_IN_ALL_FIELD_NUMBER: _ClassVar[int]
    OFFICES_FIELD_NUMBER: _ClassVar[int]
    OFFICES_LOCATED_FIELD_NUMBER: _ClassVar[int]
    unit: str
    villages: int
    villages_recorded: int
    villages_reviewed: int
    year: int
    households: int
    households_located: int
    households_in_all: int
    offices: int
    offices_located: int
    def __init__(self, unit: _Optional[str] = ..., villages: _Optional[int] = ..., villages_recorded: _Optional[int] = ..., villages_reviewed: _Optional[int] = ..., year: _Optional[int] = ..., households: _Optional[int] = ..., households_located: _Optional[int] = ..., households_in_all: _Optional[int] = ..., offices: _Optional[int] = ..., offices_located: _Optional[int] = ...) -> None: ...

class HouseholdRegisterChanged(_message.Message):
    __slots__ = ("register",)
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    register: HouseholdRegister
    def __init__(self, register: _Optional[_Union[HouseholdRegister, _Mapping]] = ...) -> None: ...

class ResidentErased(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class NamedShare(_message.Message):
    __slots__ = ("name", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    share: Share
    def __init__(self, name: _Optional[str] = ..., share: _Optional[_Union[Share, _Mapping]] = ...) -> None: ...

class UnitSucceeded(_message.Message):
    __slots__ = ("change_set", "effective_on", "predecessor", "successor", "share", "named_shares", "legal_basis", "successors_of_predecessor", "predecessors_of_successor")
    CHANGE_SET_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_ON_FIELD_NUMBER: _ClassVar[int]
    PREDECESSOR_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    NAMED_SHARES_FIELD_NUMBER: _ClassVar[int]
    LEGAL_BASIS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSORS_OF_PREDECESSOR_FIELD_NUMBER: _ClassVar[int]
    PREDECESSORS_OF_SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    change_set: str
    effective_on: str
    predecessor: Unit
    successor: Unit
    share: Share
    named_shares: _containers.RepeatedCompositeFieldContainer[NamedShare]
    legal_basis: str
    successors_of_predecessor: int
    predecessors_of_successor: int
    def __init__(self, change_set: _Optional[str] = ..., effective_on: _Optional[str] = ..., predecessor: _Optional[_Union[Unit, _Mapping]] = ..., successor: _Optional[_Union[Unit, _Mapping]] = ..., share: _Optional[_Union[Share, _Mapping]] = ..., named_shares: _Optional[_Iterable[_Union[NamedShare, _Mapping]]] = ..., legal_basis: _Optional[str] = ..., successors_of_predecessor: _Optional[int] = ..., predecessors_of_successor: _Optional[int] = ...) -> None: ...
