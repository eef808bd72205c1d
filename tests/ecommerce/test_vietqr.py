"""VietQR codes against the two known ones, and read by somebody else's decoder."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vietnam_qr_pay import BanksObject, QRPay

from services.ecommerce.payments import vietqr
from services.ecommerce.payments.model import ALPHABET

ORDER = (
    "00020101021238570010A00000072701270006970403011300110123456780208QRIBFTTA530370454061800005802VN"
    "62340107NPS68690819thanh toan don hang63042E2E"
)
CHARGE = (
    "00020101021238540010A00000072701240006970436011001234567890208QRIBFTTA530370454061500005802VN"
    "62250821DH20260001 XA TAN HOI63042EE2"
)


def test_the_known_codes_are_made_again() -> None:
    assert vietqr.payload("970403", "0011012345678", 180_000, "thanh toan don hang", "NPS6869") == ORDER
    assert vietqr.payload("970436", "0123456789", 150_000, "DH20260001 XA TAN HOI") == CHARGE
    assert vietqr.checksum("123456789") == "29B1", "the check value of CRC-16/CCITT-FALSE"


@settings(deadline=None, database=None)
@given(
    bank=st.sampled_from(sorted(vietqr.banks())),
    account=st.text("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=1, max_size=19),
    amount=st.integers(1, 10**12),
    code=st.text(ALPHABET, min_size=8, max_size=8),
)
def test_another_program_reads_what_was_meant(bank: str, account: str, amount: int, code: str) -> None:
    read = QRPay(vietqr.payload(bank, account, amount, f"XS{code}"))
    assert read.is_valid
    assert (read.consumer.bank_bin, read.consumer.bank_number, read.amount) == (bank, account, str(amount))
    assert read.additional_data.purpose == f"XS{code}"
    assert not QRPay(vietqr.payload(bank, account, amount, f"XS{code}")[:-1] + "x").is_valid


@pytest.mark.parametrize(
    ("bank", "account", "amount", "purpose"),
    [
        ("97040", "1", 1, "a"),
        ("970405", "", 1, "a"),
        ("970405", "1" * 20, 1, "a"),
        ("970405", "1 2", 1, "a"),
        ("970405", "1", 0, "a"),
        ("970405", "1", 10**13, "a"),
        ("970405", "1", 1, ""),
        ("970405", "1", 1, "a" * 26),
        ("970405", "1", 1, "tiền rác"),
    ],
)
def test_what_no_banking_app_would_read_is_not_made(bank: str, account: str, amount: int, purpose: str) -> None:
    with pytest.raises(ValueError, match="has"):
        vietqr.payload(bank, account, amount, purpose)


def test_the_listed_banks_take_vietqr() -> None:
    others = {bank.bin: bank for bank in BanksObject.values()}
    assert len(vietqr.banks()) >= 25
    for bank, name in vietqr.banks().items():
        assert bank in others, name
        assert int(others[bank].viet_qr_status) == 1, name
