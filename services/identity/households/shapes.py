"""Owns what may be written into the register of households, by JSON, forms and files alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from chassis.text import Line
from services.identity.households.commands import Details
from services.identity.households.model import Place

Livelihood = Literal["farming", "crafts", "trade", "wages", "other"]
Poverty = Literal["none", "near_poor", "poor"]
Why = Literal["moved", "merged", "mistake"]
Code: Any = Line(20)
Address: Any = Line(200, 0)
DigitalCode: Any = Line(40, 0)
MOST = 1_000_000


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _serial(value: str) -> str:
    """Spreadsheets take the zeros off 012: 12 and 012 are the same household."""
    if not (value.isascii() and value.isdigit() and 1 <= len(value) <= 4 and int(value)):
        raise PydanticCustomError("household_number", "Số thứ tự hộ là số từ 1 đến 9999, ví dụ 012.")
    return f"{int(value):03d}"


def _point(value: Any) -> Any:
    return value.replace(",", ".") if isinstance(value, str) else value


Degrees = Annotated[float, BeforeValidator(_point), Field(allow_inf_nan=False)]
"""Degrees of latitude or longitude; people here write decimals with a comma."""
Number = Annotated[Code, BeforeValidator(_digits), AfterValidator(_serial)]


class HouseholdIn(BaseModel):
    """A household as staff write it down; what is not known is left out. A digital address has all its three parts."""

    model_config = ConfigDict(extra="forbid")

    unit: Code
    number: Number
    people: int = Field(ge=1, le=99)
    address: Address = ""
    digital_code: DigitalCode = ""
    lat: Degrees | None = None
    lon: Degrees | None = None
    livelihood: Livelihood | None = None
    poverty: Poverty | None = None
    reviewed_year: int | None = Field(default=None, ge=2000, le=9999)

    @classmethod
    def of(cls, known: Details) -> HouseholdIn:
        """What is recorded, as staff would write it down."""
        place = known.place
        where = {"address": place.address, "digital_code": place.code, "lat": place.lat, "lon": place.lon}
        return cls.model_validate({**{k: v for k, v in vars(known).items() if k != "place"}, **where})

    def details(self) -> Details:
        """The same for the commands."""
        place = Place(self.address, self.digital_code, self.lat, self.lon)
        return Details(self.unit, self.number, self.people, place, self.livelihood, self.poverty, self.reviewed_year)


class Totals(BaseModel):
    """What a commune has in all, as its staff state it."""

    model_config = ConfigDict(extra="forbid")

    unit: Code
    households_in_all: int = Field(ge=1, le=MOST)
    offices: int = Field(ge=0, le=MOST)
    offices_located: int = Field(ge=0, le=MOST)
