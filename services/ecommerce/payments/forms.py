"""Owns what a person may type into the pages of payments, and what it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field

from chassis.text import Line
from services.ecommerce.forms import Day, Dong, Name, Short, ShortOrNone
from services.ecommerce.payments.businesses import BusinessFields
from services.ecommerce.payments.commands import PayeeFields
from services.ecommerce.payments.model import ServiceKind

if TYPE_CHECKING:
    Reason: TypeAlias = str
    FileText: TypeAlias = str
else:
    Reason = Line(200, 3)
    FileText = Annotated[str, Field(max_length=600_000)]


def _bare(typed: Any) -> Any:
    """Accounts are written in groups: 0011 0123 4567."""
    return re.sub(r"[\s.-]", "", typed) if isinstance(typed, str) else typed


Bin = Annotated[str, Field(pattern=r"^[0-9]{6}$", description="BIN of the bank.")]
Account = Annotated[str, BeforeValidator(_bare), Field(pattern=r"^[0-9A-Za-z]{1,19}$")]
Registration = Annotated[str, BeforeValidator(_bare), Field(pattern=r"^[0-9A-Za-z]{6,20}$")]
Period = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", description="Month, such as 2026-11.")]


class PayeeForm(BaseModel):
    """A payee, as staff type it."""

    unit: Short
    name: Name
    service: ServiceKind
    bank_bin: Bin
    account: Account
    holder: Name

    def fields(self) -> PayeeFields:
        return PayeeFields(self.name, self.service, self.bank_bin, self.account, self.holder)


class PayeeEdit(BaseModel):
    """What staff mend of a payee; its service stays, since households were told of by it."""

    name: Name
    bank_bin: Bin
    account: Account
    holder: Name


class ActiveForm(BaseModel):
    """Whether a payee collects."""

    active: bool


class ChargeForm(BaseModel):
    """One charge, as staff type it."""

    period: Period
    due_on: Day
    village: Short
    number: Short
    amount: Dong


class FileForm(BaseModel):
    """A file of charges: chosen at first, then sent back as `text` once its preview was read."""

    period: Period
    due_on: Day
    text: FileText = ""


class StatementForm(BaseModel):
    """A statement of an account: chosen at first, then sent back as `text` once its preview was read."""

    text: FileText = ""


class PlaceForm(BaseModel):
    """The code of the charge that money of unknown purpose was for."""

    code: Short


class RefundForm(BaseModel):
    """Money given back, and why."""

    amount: Dong
    reason: Reason


class BusinessForm(BaseModel):
    """A service business, as staff type it; no account where it takes no transfers."""

    unit: Short
    name: Name
    registration: Registration
    bank_bin: Annotated[str, Field(pattern=r"^([0-9]{6})?$")] = ""
    account: Annotated[str, BeforeValidator(_bare), Field(pattern=r"^[0-9A-Za-z]{0,19}$")] = ""
    holder: ShortOrNone = ""

    def fields(self) -> BusinessFields:
        return BusinessFields(self.name, self.registration, self.bank_bin, self.account, self.holder)


class OnlineForm(BaseModel):
    """Since when a business takes online payment, and what shows it."""

    online_since: Day
    evidence: Reason
