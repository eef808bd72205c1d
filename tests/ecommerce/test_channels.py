"""What an address of a listing may be."""

from __future__ import annotations

import pytest

from chassis.errors import Invalid
from services.ecommerce.channels import MAX_URL, address, channel, channels


@pytest.mark.parametrize(
    ("code", "typed", "kept"),
    [
        ("shopee", "https://shopee.vn/gao-nep", "https://shopee.vn/gao-nep"),
        ("shopee", "  HTTPS://Shopee.VN:443  ", "https://shopee.vn/"),
        ("shopee", "https://s.shopee.vn/abc?x=1#y", "https://s.shopee.vn/abc?x=1#y"),
        ("facebook", "https://m.facebook.com/htx", "https://m.facebook.com/htx"),
        ("zalo", "http://zalo.me:8080/1", "http://zalo.me:8080/1"),
        ("own_site", "https://htxđạisơn.vn/gạo", "https://xn--htxisn-u3a54b4q.vn/g%E1%BA%A1o"),
        ("own_site", "https://htx.vn/g%E1%BA%A1o", "https://htx.vn/g%E1%BA%A1o"),
        ("other", "https://shopee.vn/x", "https://shopee.vn/x"),
    ],
)
def test_an_address_is_kept_in_one_form(code: str, typed: str, kept: str) -> None:
    found = address(channel(code), typed)
    if "đ" in typed:
        assert found.isascii()
        assert found.endswith(".vn/g%E1%BA%A1o")
    else:
        assert found == kept
    assert address(channel(code), found) == found


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "shopee.vn/x",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "ftp://shopee.vn/x",
        "//shopee.vn/x",
        "https:///x",
        "https://",
        "https://evil.example/shopee.vn",
        "https://shopee.vn.evil.example/",
        "https://notshopee.vn/",
        "https://shopee.vn@evil.example/",
        "https://a:b@shopee.vn/",
        "https://shopee.vn\\@evil.example/",
        "https://shopee.vn/a b",
        "https://shopee.vn/a\nb",
        "https://shopee.vn/\x00",
        "https://shopee.vn:99999/",
        "https://shopee.vn:x/",
        "https://[::1/",
        "https://shopee.vn/" + "a" * MAX_URL,
        "https://shopee..vn/",
        "https://-shopee.vn/",
    ],
)
def test_what_is_no_shop_on_the_channel_is_refused(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        address(channel("shopee"), typed)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    "typed", ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/"]
)
def test_a_shop_of_ones_own_has_a_domain_name(typed: str) -> None:
    with pytest.raises(Invalid):
        address(channel("own_site"), typed)


def test_channels_are_complete() -> None:
    known = channels()
    assert len(known) == 9
    assert all(one.vi and one.en for one in known.values())
    with pytest.raises(Invalid) as refused:
        channel("ebay")
    assert refused.value.field == "channel"
