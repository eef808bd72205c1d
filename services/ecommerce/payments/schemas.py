"""Owns what programs send to payments and are answered, and the address that a household is given."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chassis.text import Line
from services.ecommerce.forms import Name, Short
from services.ecommerce.model import MAX_PRICE
from services.ecommerce.payments.commands import Wanted
from services.ecommerce.payments.forms import Account, Bin, BusinessForm, PayeeForm, Period, Reason
from services.ecommerce.payments.model import (
    MAX_ROWS,
    BankNotice,
    Business,
    BusinessMeans,
    Charge,
    ChargeState,
    Means,
    NoticeState,
    Payee,
    ServiceKind,
)
from services.ecommerce.payments.settling import Incoming
from services.ecommerce.schemas import Body

if TYPE_CHECKING:
    Transaction: TypeAlias = str
    Description: TypeAlias = str
else:
    Transaction = Line(64)
    Description = Line(500, 0)

Amount = Annotated[int, Field(strict=True, ge=1, le=MAX_PRICE, description="Whole đồng.")]
Instant = Annotated[AwareDatetime, Field(ge=datetime(2020, 1, 1, tzinfo=UTC), le=datetime(2100, 1, 1, tzinfo=UTC))]


def page_url(charge: Charge, public_url: str) -> str:
    """The address a household is given; whoever has it may see the charge and pay it."""
    return f"{public_url}/ecommerce/pay/{charge.token}"


class NewPayee(PayeeForm):
    model_config = ConfigDict(extra="forbid")


class PayeeChanges(Body):
    """What is left out stays as it is."""

    name: Name = ""
    bank_bin: Bin = ""
    account: Account = ""
    holder: Name = ""
    active: bool = True

    def changed(self) -> dict[str, str | bool]:
        return self.model_dump(exclude_unset=True)


class NewBusiness(BusinessForm):
    model_config = ConfigDict(extra="forbid")


class NewCharge(Body):
    village: Short = Field(description="Code of the village.")
    number: Short = Field(description="The household's number within the village.")
    amount: Amount


class NewCharges(Body):
    """Charges of a month: all of them or none."""

    period: Period
    due_on: Annotated[date, Field(ge=date(2020, 1, 1), le=date(2100, 1, 1))]
    charges: Annotated[list[NewCharge], Field(min_length=1, max_length=MAX_ROWS)]

    def wanted(self) -> list[Wanted]:
        return [Wanted(one.village, one.number, one.amount) for one in self.charges]


class NewNotice(Body):
    """Money that arrived on an account."""

    bank_bin: Bin
    account: Account
    transaction_id: Transaction = Field(description="The bank's own id; repeated, nothing happens.")
    amount: Amount
    description: Description = Field(default="", description="What the payer's bank wrote, with the charge's code.")
    paid_at: Instant

    def incoming(self) -> Incoming:
        return Incoming(**self.model_dump())


class Refund(Body):
    amount: Amount
    reason: Reason


class BusinessChanges(Body):
    """With `online_since` and `evidence` it takes online payment, with null no longer; with `ended` true it closed."""

    online_since: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 1, 1))] | None = None
    evidence: Reason = ""
    ended: bool = False


class PayeeOut(BaseModel):
    id: uuid.UUID
    unit: str
    name: str
    service: ServiceKind
    bank_bin: str
    account: str
    holder: str
    active: bool

    @classmethod
    def of(cls, payee: Payee) -> PayeeOut:
        return cls.model_validate(payee, from_attributes=True)


class PayeeList(BaseModel):
    items: list[PayeeOut]


class ChargeOut(BaseModel):
    id: uuid.UUID
    village: str
    number: str
    period: str
    amount: int
    received: int
    due_on: date
    state: ChargeState
    means: Means | None
    paid_at: datetime | None
    code: str
    page_url: str

    @classmethod
    def of(cls, charge: Charge, public_url: str) -> ChargeOut:
        return cls(
            id=charge.id,
            village=charge.household.unit,
            number=charge.household.number,
            period=charge.period,
            amount=charge.amount,
            received=charge.received,
            due_on=charge.due_on,
            state=ChargeState(charge.state),
            means=Means(charge.means) if charge.means else None,
            paid_at=charge.paid_at,
            code=charge.code,
            page_url=page_url(charge, public_url),
        )


class ChargeList(BaseModel):
    items: list[ChargeOut]
    next: str | None = None


class NoticeAnswer(BaseModel):
    """What became of a notice when it came in; repeated, the answer is the same."""

    id: uuid.UUID
    transaction_id: str
    state: NoticeState
    charge: uuid.UUID | None

    @classmethod
    def of(cls, notice: BankNotice) -> NoticeAnswer:
        return cls(
            id=notice.id,
            transaction_id=notice.transaction_id,
            state=NoticeState(notice.state),
            charge=notice.charge_id,
        )


class NoticeOut(NoticeAnswer):
    amount: int
    description: str
    paid_at: datetime
    source: str
    refunded: int
    refund_reason: str

    @classmethod
    def whole(cls, notice: BankNotice) -> NoticeOut:
        return cls(
            **NoticeAnswer.of(notice).model_dump(),
            amount=notice.amount,
            description=notice.description,
            paid_at=notice.paid_at,
            source=notice.source,
            refunded=notice.refunded,
            refund_reason=notice.refund_reason,
        )


class NoticeList(BaseModel):
    items: list[NoticeOut]
    next: str | None


class BusinessOut(BaseModel):
    id: uuid.UUID
    unit: str
    name: str
    registration: str
    code: str
    means: BusinessMeans | None
    online_since: date | None
    evidence: str
    ended_on: date | None

    @classmethod
    def of(cls, business: Business) -> BusinessOut:
        return cls(
            id=business.id,
            unit=business.unit,
            name=business.name,
            registration=business.registration,
            code=business.code,
            means=BusinessMeans(business.means) if business.means else None,
            online_since=business.online_since,
            evidence=business.evidence,
            ended_on=business.ended_on,
        )


class BusinessList(BaseModel):
    items: list[BusinessOut]
    next: str | None
