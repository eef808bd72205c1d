"""Owns the QR code of a product: the address of its public page, for screens and for printed labels."""

from __future__ import annotations

import io

import segno

ERROR_LEVEL = "q"
"""A quarter of the code may be scratched or wet and a phone still reads it; the code stays small enough for a jar."""
BORDER = 4
"""Quiet zone in modules, as ISO/IEC 18004 asks."""


def _code(address: str) -> segno.QRCode:
    return segno.make_qr(address, error=ERROR_LEVEL, boost_error=False)


def svg(address: str, title: str) -> bytes:
    """A drawing without a size of its own: it is as sharp at 2 cm on a label as on a poster."""
    out = io.BytesIO()
    _code(address).save(
        out, kind="svg", border=BORDER, scale=1, dark="#000", light="#fff", title=title, omitsize=True, xmldecl=False
    )
    return out.getvalue()


def png(address: str, scale: int) -> bytes:
    """A picture of `scale` pixels a module, for programs that print labels."""
    out = io.BytesIO()
    _code(address).save(out, kind="png", border=BORDER, scale=scale, dark="#000", light="#fff")
    return out.getvalue()
