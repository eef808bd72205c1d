"""The life of a product and of a listing, without a database."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ecommerce.model import (
    TRANSITIONS,
    Action,
    Listing,
    Phase,
    Product,
    ProductNotPublishable,
    ProductNotWithdrawable,
    Status,
    after,
)

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
instants = st.integers(0, 40).map(lambda hours: AT + timedelta(hours=hours))


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_only_what_the_table_says_follows(status: Status, action: Action) -> None:
    wanted = {
        (Status.DRAFT, Action.PUBLISH): Status.PUBLISHED,
        (Status.PUBLISHED, Action.WITHDRAW): Status.WITHDRAWN,
        (Status.WITHDRAWN, Action.PUBLISH): Status.PUBLISHED,
    }
    assert wanted == TRANSITIONS
    if (status, action) in wanted:
        assert after(status, action) is wanted[status, action]
    else:
        named = {Action.PUBLISH: ProductNotPublishable, Action.WITHDRAW: ProductNotWithdrawable}
        with pytest.raises(named[action]):
            after(status, action)


@given(st.lists(st.sampled_from(Action), max_size=12))
def test_no_sequence_of_wishes_leads_back_to_a_draft(wishes: list[Action]) -> None:
    product = Product(id=uuid.uuid4(), status=Status.DRAFT.value, version=1, key_product=False)
    changes = 0
    for wish in wishes:
        try:
            product.publish(AT) if wish is Action.PUBLISH else product.withdraw(AT)
            changes += 1
        except (ProductNotPublishable, ProductNotWithdrawable):
            continue
    assert product.version == 1 + changes
    assert (product.status == Status.DRAFT) == (changes == 0)
    assert product.public == (changes > 0)
    assert product.told == (changes > 0)


def listing(begin: datetime, end: datetime | None) -> Listing:
    return Listing(id=uuid.uuid4(), channel="shopee", url="https://shopee.vn/x", valid_from=begin, valid_to=end)


@given(instants, st.one_of(st.none(), instants), instants)
def test_a_listing_is_live_from_its_beginning_until_its_end(
    begin: datetime, end: datetime | None, now: datetime
) -> None:
    if end is not None and end < begin:
        begin, end = end, begin
    one = listing(begin, end)
    product = Product(id=uuid.uuid4(), status=Status.PUBLISHED.value, key_product=False, listings=[one])
    live = begin <= now and (end is None or now < end)
    assert product.is_live(one, now) is live
    assert (one.phase(now) is Phase.OPEN) is live
    assert len(product.live_listings(now)) == int(live)
    for status in (Status.DRAFT, Status.WITHDRAWN):
        product.status = status.value
        assert not product.is_live(one, now)


@given(instants, st.one_of(st.none(), instants), instants, st.one_of(st.none(), instants))
def test_two_listings_overlap_when_they_share_an_hour(
    begin: datetime, end: datetime | None, other_begin: datetime, other_end: datetime | None
) -> None:
    if (end is not None and end < begin) or (other_end is not None and other_end <= other_begin):
        return
    hours = {AT + timedelta(hours=n) for n in range(60)}
    one = {hour for hour in hours if begin <= hour and (end is None or hour < end)}
    other = {hour for hour in hours if other_begin <= hour and (other_end is None or hour < other_end)}
    assert listing(begin, end).overlaps(other_begin, other_end) == bool(one & other)
