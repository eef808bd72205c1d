"""Owns the tables of payees, charges, bank notices and service businesses, what a payment does to a charge, and errors.

Indexes and constraints of the tables stand in the migration, which is what a database really has.
"""

from __future__ import annotations

import secrets
import uuid
from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.db import UtcDateTime, new_id
from chassis.errors import DomainError, Kind
from chassis.units import VIETNAM
from services.ecommerce.model import Base

MAX_ROWS = 5_000
"""Most charges, or rows of a statement, that come in at once."""
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that a hand could take for a digit."""
CHARGE_MARK, TEST_MARK = "XS", "XT"
"""How the purpose of a charge, and that of a business's test payment, begins."""


class ServiceKind(StrEnum):
    ELECTRICITY = "electricity"
    WATER = "water"
    WASTE = "waste"
    TUITION = "tuition"
    PUBLIC_ADMINISTRATION = "public_administration"
    OTHER = "other"


class ChargeState(StrEnum):
    OPEN = "open"
    PAID = "paid"
    CANCELLED = "cancelled"


class Means(StrEnum):
    """How a charge was paid."""

    BANK = "bank"
    CASH = "cash"


class NoticeState(StrEnum):
    """What a bank notice turned out to be when it came in; whatever it is, it is kept."""

    SETTLED = "settled"
    LATE = "late"
    OVER = "over"
    SHORT = "short"
    DOUBLE = "double"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    TEST = "test"


COUNTED = (NoticeState.SETTLED, NoticeState.LATE, NoticeState.OVER, NoticeState.SHORT)
"""Notices whose money was counted towards their charge; that of the others waits to be given back."""
PLACEABLE = (NoticeState.UNKNOWN, NoticeState.DOUBLE, NoticeState.CANCELLED)
"""Notices whose money staff may count towards an open charge instead of giving it back."""


class BusinessMeans(StrEnum):
    """By what a business is known to take online payment: a test payment received, or what staff wrote down."""

    VIETQR = "vietqr"
    DOCUMENTED = "documented"


class UnknownAccount(DomainError):
    code = "unknown_account"
    kind = Kind.NOT_FOUND
    message = "Không có đơn vị thu hoặc cơ sở kinh doanh nào ở đây dùng tài khoản này."


class NoticeDiffers(DomainError):
    code = "notice_differs"
    kind = Kind.CONFLICT
    message = "Mã giao dịch {transaction} đã được báo trước đó với số tiền khác."


class AlreadyRefunded(DomainError):
    code = "already_refunded"
    kind = Kind.CONFLICT
    message = "Khoản tiền này đã được ghi hoàn trả."


class NoticePlaced(DomainError):
    code = "notice_placed"
    kind = Kind.CONFLICT
    message = "Khoản tiền này vừa được ghi vào một khoản thu, hoặc đã hoàn trả; hãy mở lại trang."


class ChargeNotOpen(DomainError):
    code = "charge_not_open"
    kind = Kind.CONFLICT
    message = "Khoản thu này không còn chờ thanh toán."


class ChargeHasMoney(DomainError):
    code = "charge_has_money"
    kind = Kind.CONFLICT
    message = "Khoản thu này đã nhận một phần tiền; hãy hoàn trả trước khi hủy."


class PayeeNotActive(DomainError):
    code = "payee_not_active"
    kind = Kind.CONFLICT
    message = "Đơn vị thu này đã ngừng thu."


class BusinessEnded(DomainError):
    code = "business_ended"
    kind = Kind.CONFLICT
    message = "Cơ sở này đã ngừng kinh doanh."


class RegistrationTaken(DomainError):
    code = "registration_taken"
    kind = Kind.CONFLICT
    message = "Số đăng ký kinh doanh này đã có trong danh sách của xã."


def new_code(mark: str) -> str:
    """A purpose nobody has used: ten ASCII characters that survive every bank's form."""
    return mark + "".join(secrets.choice(ALPHABET) for _ in range(8))


class Placed(Base):
    """What lies on a unit: its code, the commune's and the path that says who may."""

    __abstract__ = True

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)


class Household(Placed):
    """A household as the register of identity tells of it: a number within a village and nothing else."""

    __tablename__ = "household"

    number: Mapped[str] = mapped_column(sa.Text)
    ended: Mapped[bool] = mapped_column(sa.Boolean)
    sequence: Mapped[int] = mapped_column(sa.BigInteger)


class Payee(Placed):
    """Who collects for a service of a commune, and the account the money goes to."""

    __tablename__ = "payee"

    name: Mapped[str] = mapped_column(sa.Text)
    service: Mapped[str] = mapped_column(sa.Text)
    bank_bin: Mapped[str] = mapped_column(sa.Text)
    account: Mapped[str] = mapped_column(sa.Text)
    holder: Mapped[str] = mapped_column(sa.Text)
    active: Mapped[bool] = mapped_column(sa.Boolean, default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Charge(Base):
    """What a household owes a payee for a month. `received` is what the bank brought towards it, in đồng."""

    __tablename__ = "charge"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    payee_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("payee.id"))
    household_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("household.id"))
    period: Mapped[str] = mapped_column(sa.Text)
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    due_on: Mapped[date] = mapped_column(sa.Date)
    code: Mapped[str] = mapped_column(sa.Text)
    token: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.Text, default=ChargeState.OPEN.value)
    means: Mapped[str] = mapped_column(sa.Text, default="")
    received: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    payee: Mapped[Payee] = relationship(lazy="raise")
    household: Mapped[Household] = relationship(lazy="raise")

    @property
    def remaining(self) -> int:
        """What is still to be paid, in đồng."""
        return max(self.amount - self.received, 0) if self.state == ChargeState.OPEN else 0

    @property
    def surplus(self) -> int:
        """What it received more than it asks for, in đồng; 0 where cash paid the rest."""
        return max(self.received - self.amount, 0)

    def receive(self, amount: int, at: datetime) -> NoticeState:
        """Count money that the bank received at `at` towards it; says what the notice of it is."""
        if self.state == ChargeState.CANCELLED:
            return NoticeState.CANCELLED
        if self.state == ChargeState.PAID:
            return NoticeState.DOUBLE
        self.received += amount
        if self.received < self.amount:
            return NoticeState.SHORT
        self._paid(Means.BANK, at)
        if self.received > self.amount:
            return NoticeState.OVER
        return NoticeState.LATE if at.astimezone(VIETNAM).date() > self.due_on else NoticeState.SETTLED

    def give_back(self, amount: int) -> None:
        """Counted money went back: what is now short of its amount is open again, unless cash paid it."""
        self.received -= amount
        if self.state == ChargeState.PAID and self.means == Means.BANK and self.received < self.amount:
            self.state, self.means, self.paid_at = ChargeState.OPEN.value, "", None

    def pay_cash(self, at: datetime) -> None:
        """The rest was paid at the counter; raises ChargeNotOpen."""
        self._require_open()
        self._paid(Means.CASH, at)

    def cancel(self) -> None:
        """It was charged by mistake; raises ChargeNotOpen, ChargeHasMoney."""
        self._require_open()
        if self.received:
            raise ChargeHasMoney()
        self.state = ChargeState.CANCELLED.value

    def _paid(self, means: Means, at: datetime) -> None:
        self.state, self.means, self.paid_at = ChargeState.PAID.value, means.value, at

    def _require_open(self) -> None:
        if self.state != ChargeState.OPEN:
            raise ChargeNotOpen()


class Business(Placed):
    """A registered service business of a commune, and whether it is proven to take online payment."""

    __tablename__ = "business"

    name: Mapped[str] = mapped_column(sa.Text)
    registration: Mapped[str] = mapped_column(sa.Text)
    bank_bin: Mapped[str] = mapped_column(sa.Text)
    account: Mapped[str] = mapped_column(sa.Text)
    holder: Mapped[str] = mapped_column(sa.Text)
    code: Mapped[str] = mapped_column(sa.Text)
    means: Mapped[str] = mapped_column(sa.Text, default="")
    evidence: Mapped[str] = mapped_column(sa.Text, default="")
    online_since: Mapped[date | None] = mapped_column(sa.Date)
    ended_on: Mapped[date | None] = mapped_column(sa.Date)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    def require_running(self) -> None:
        """Raise BusinessEnded where it has ended."""
        if self.ended_on is not None:
            raise BusinessEnded()


class BankNotice(Base):
    """Money that a bank says arrived; unique by account and the bank's own id of the transaction."""

    __tablename__ = "bank_notice"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    payee_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("payee.id"))
    charge_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("charge.id"))
    business_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("business.id"))
    bank_bin: Mapped[str] = mapped_column(sa.Text)
    account: Mapped[str] = mapped_column(sa.Text)
    transaction_id: Mapped[str] = mapped_column(sa.Text)
    amount: Mapped[int] = mapped_column(sa.BigInteger)
    description: Mapped[str] = mapped_column(sa.Text)
    paid_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(sa.Text)
    source: Mapped[str] = mapped_column(sa.Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    refunded: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    refund_reason: Mapped[str] = mapped_column(sa.Text, default="")
    refunded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CollectingYear(Base):
    """A year in which a commune collects charges here; only then its households are told of."""

    __tablename__ = "collecting_year"

    commune: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    year: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)


class PaymentTold(Base):
    """What was last told of a household's online payments in a year."""

    __tablename__ = "payment_told"

    household_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("household.id"), primary_key=True)
    year: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
    commune: Mapped[str] = mapped_column(sa.Text)
    paid_online: Mapped[int] = mapped_column(sa.Integer)
    services: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text))
    ended: Mapped[bool] = mapped_column(sa.Boolean)
