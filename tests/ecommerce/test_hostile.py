"""Photos made to break their reader: refused by name, never an error of ours."""

from __future__ import annotations

import pytest

from tests.ecommerce.conftest import BASE, Shop, refused

# 162 bytes of WebP whose EXIF says that the orientation is of a kind it cannot be; Pillow raises TypeError on it.
LYING_EXIF = bytes.fromhex(
    "524946469a00000057454250565038580a0000000800000001000000000056503820180000003001009d012a0200010001402625a400037000fefd"
    "366800455849465c0000004d4d002a0000000800020112000300000001000600008825000400000001000000260000000000e700010002000000"
    "024e00000000020005000000030000004400000000000000010000000100000002000000010000000300000001"
)


# Pillow warns before it stumbles; in a running service nobody makes an error of a warning.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
async def test_a_photo_whose_metadata_lie_is_refused(shop: Shop) -> None:
    product = await shop.new_product()
    sent = {"photo": ("a.webp", LYING_EXIF, "image/webp")}
    path = f"{BASE}/products/{product['id']}/photo"
    refused(await shop.client.post(path, files=sent, headers=shop.producer), 415, "photo_unreadable", "photo")
