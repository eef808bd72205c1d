"""Owns the kitchen sink: the shell and every macro of web/templates on one page, rendered without any service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import URL

from chassis import i18n

WEB = Path(__file__).resolve().parents[2] / "web"
NOW = datetime(2026, 11, 21, 7, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Someone:
    """The two attributes of a principal that the shell reads."""

    name: str
    roles: frozenset[str]


@dataclass(frozen=True)
class Asked:
    """The two attributes of a request that the shell reads."""

    url: URL
    method: str = "GET"


def environment(locale: str = "vi") -> Environment:
    """The Jinja environment with the names and the strictness that every page of a service has."""
    manifest: Mapping[str, str] = json.loads((WEB / "dist" / "manifest.json").read_text("utf-8"))
    env = Environment(
        loader=FileSystemLoader([WEB / "templates", Path(__file__).parent / "templates"]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    env.globals |= {
        "asset": lambda name: f"/static/{manifest[name]}",
        "_": i18n.Translations.load(WEB / "locale").translator(locale),
        "fmt_date": partial(i18n.fmt_date, locale=locale),
        "fmt_datetime": partial(i18n.fmt_datetime, locale=locale),
        "fmt_number": partial(i18n.fmt_number, locale=locale),
        "fmt_percent": partial(i18n.fmt_percent, locale=locale),
        "fmt_money": partial(i18n.fmt_money, locale=locale),
        "fmt_ago": partial(i18n.fmt_ago, locale=locale),
        "idempotency_key": lambda: "0198a000-0000-7000-8000-000000000000",
    }
    return env


def subjects(active: str, down: str | None = None) -> list[dict[str, Any]]:
    """The five subjects as a service gives them to the shell."""
    labels = {
        "petitions": "Phản ánh",
        "ecommerce": "Sản phẩm",
        "indicators": "Chỉ tiêu",
        "media": "Truyền thanh & camera",
        "identity": "Con người",
    }
    return [
        {"key": key, "label": label, "href": f"/{key}", "active": key == active, "down": key == down}
        for key, label in labels.items()
    ]


def context(path: str, *, signed_in: bool, locale: str = "vi") -> dict[str, Any]:
    """What every page receives, with the people and places of the kitchen sink."""
    units = [("30", "Tỉnh Hải Dương"), ("298", "Huyện Tứ Kỳ"), ("11086", "Xã Đại Sơn"), ("11086-01", "Thôn Nghĩa Dũng")]
    return {
        "request": Asked(URL(f"http://127.0.0.1{path}")),
        "principal": Someone("Cán bộ xã Đại Sơn", frozenset({"officer"})) if signed_in else None,
        "locale": locale,
        "csrf_token": "csrf-of-the-kitchen",
        "subject_nav": subjects("indicators", down="media"),
        "unit_path": [{"code": code, "name": name, "href": f"/indicators/units/{code}"} for code, name in units],
        "staff_nav": [
            {"href": "/petitions/inbox", "label": "Phản ánh chờ xử lý", "count": 12, "late": True},
            {"href": "/ecommerce/review", "label": "Sản phẩm chờ duyệt", "count": 3, "active": True},
            {"href": "/media/", "label": "Loa mất kết nối", "count": 0},
        ]
        if signed_in
        else [],
        "now": NOW,
        "search_url": "/indicators/search",
    }


def page(
    name: str, path: str = "/sink?unit=11086-01", *, signed_in: bool = True, locale: str = "vi", **extra: Any
) -> str:
    """One page of the kitchen sink as HTML."""
    given = context(path, signed_in=signed_in, locale=locale) | extra
    return environment(locale).get_template(name).render(given)
