"""Owns how a service's pages are drawn: templates, language, flash messages, the shell's context, forms."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import jinja2
import orjson
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chassis import i18n
from chassis.auth import Principal
from chassis.db import new_id
from chassis.errors import DomainError
from chassis.problems import status_of, validation_fields
from chassis.settings import ServiceSettings

F = TypeVar("F", bound=BaseModel)

CSRF_COOKIE = "xaso_csrf"
LOCALE_COOKIE = "xaso_lang"
FLASH_COOKIE = "xaso_flash"
YEAR_SECONDS = 365 * 24 * 3600

SUBJECTS = (
    ("petitions", "Phản ánh"),
    ("ecommerce", "Sản phẩm"),
    ("indicators", "Chỉ tiêu"),
    ("media", "Truyền thanh & camera"),
    ("identity", "Con người"),
)
"""The five subjects of the shell: path prefix and Vietnamese label."""


@dataclass
class FormResult(Generic[F]):
    """What came of a submitted form: its value, or what is wrong with which field and what was typed."""

    value: F | None
    errors: dict[str, str] = field(default_factory=dict)
    typed: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[UploadFile]] = field(default_factory=dict)


class Assets:
    """Addresses of the built front end, by the names in `web/dist/manifest.json`."""

    def __init__(self, web_dir: Path) -> None:
        self._path = web_dir / "dist" / "manifest.json"
        self._stamp = 0.0
        self._names: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        try:
            stamp = self._path.stat().st_mtime
        except FileNotFoundError:
            return f"/static/{name}"
        if stamp != self._stamp:
            self._names = json.loads(self._path.read_text("utf-8"))
            self._stamp = stamp
        return f"/static/{self._names.get(name, name)}"


class Renderer:
    """Draws the pages of one service."""

    def __init__(self, settings: ServiceSettings, templates: list[Path], translations: i18n.Translations) -> None:
        self.settings = settings
        self.translations = translations
        self.assets = Assets(settings.web_dir)
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([*templates, settings.web_dir / "templates"]),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.do"],
        )

    def locale(self, request: Request) -> str:
        """The language of a page: `?lang=`, then the cookie, then Vietnamese.

        A browser's own language does not count. Pages are Vietnamese first: phones and office computers here are often
        sold or set up in English, their owners read Vietnamese, and nobody who came for the village's figures should
        have to look for a switch. Who reads English finds it in the top bar, and the choice is remembered.
        """
        return i18n.locale_of(_asked_language(request))

    def json_locale(self, request: Request) -> str:
        """The language of an answer to a program: `?lang=`, the cookie, `Accept-Language`, then Vietnamese.

        Here the header is deliberate: whoever wrote the program set it. An answer that follows it says so in `Vary`.
        """
        asked = _asked_language(request)
        if asked:
            return i18n.locale_of(asked)
        return i18n.preferred_locale(request.headers.get("accept-language"))

    def context(self, request: Request) -> dict[str, Any]:
        """What every page can use; listed in web/README.md."""
        locale = self.locale(request)
        translate = self.translations.translator(locale)
        prefix = f"/{self.settings.name}"
        return {
            "request": request,
            "principal": getattr(request.state, "principal", None),
            "locale": locale,
            "_": translate,
            "gettext": translate,
            "csrf_token": csrf_token(request),
            "idempotency_key": lambda: str(new_id()),
            "subject_nav": [
                {
                    "key": key,
                    "href": f"/{key}/",
                    "label": translate(label),
                    "active": key == self.settings.name,
                    "down": key in getattr(request.app.state, "subjects_down", ()),
                }
                for key, label in SUBJECTS
            ],
            "unit_path": [],
            "flash": None,
            "errors": {},
            "typed": {},
            "asset": self.assets,
            "url": lambda path: prefix + path,
            "now": datetime.now(UTC),
            "fmt_date": partial(i18n.fmt_date, locale=locale),
            "fmt_datetime": partial(i18n.fmt_datetime, locale=locale),
            "fmt_number": partial(i18n.fmt_number, locale=locale),
            "fmt_percent": partial(i18n.fmt_percent, locale=locale),
            "fmt_money": partial(i18n.fmt_money, locale=locale),
            "fmt_ago": partial(i18n.fmt_ago, locale=locale),
        }

    def render(self, request: Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
        """The page `template` with `context`; sets the cookies a page needs and clears a flash that was shown."""
        flash = read_flash(request)
        merged = {**self.context(request), "flash": flash, "status": status, **context}
        response = HTMLResponse(self.environment.get_template(template).render(merged), status)
        secure = self.settings.https
        if request.cookies.get(CSRF_COOKIE) != merged["csrf_token"]:
            response.set_cookie(
                CSRF_COOKIE, merged["csrf_token"], max_age=YEAR_SECONDS, httponly=True, samesite="lax", secure=secure
            )
        self.keep_language(request, response)
        if flash:
            response.delete_cookie(FLASH_COOKIE)
        response.headers["cache-control"] = "no-store"
        response.headers["content-language"] = merged["locale"]
        return response

    def keep_language(self, request: Request, response: Response) -> None:
        """The language that the address asks for is this browser's from now on."""
        asked = request.query_params.get("lang")
        if asked:
            locale, secure = i18n.locale_of(asked), self.settings.https
            response.set_cookie(LOCALE_COOKIE, locale, max_age=YEAR_SECONDS, samesite="lax", secure=secure)


def _asked_language(request: Request) -> str | None:
    """What a reader chose: for this page alone, or for this browser."""
    return request.query_params.get("lang") or request.cookies.get(LOCALE_COOKIE)


def csrf_token(request: Request) -> str:
    """The token of this browser: the one in its cookie, or a new one made once per request."""
    token = request.cookies.get(CSRF_COOKIE) or getattr(request.state, "csrf_token", None)
    if not token:
        token = secrets.token_urlsafe(32)
        request.state.csrf_token = token
    return str(token)


def read_flash(request: Request) -> dict[str, str] | None:
    """The message left by the page before, None where there is none or it cannot be read."""
    raw = request.cookies.get(FLASH_COOKIE)
    if not raw:
        return None
    try:
        value = orjson.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return None
    return {"text": value["text"], "kind": str(value.get("kind", "success"))}


def write_flash(response: Response, text: str, kind: str) -> None:
    raw = base64.urlsafe_b64encode(orjson.dumps({"text": text, "kind": kind})).rstrip(b"=").decode()
    response.set_cookie(FLASH_COOKIE, raw, max_age=60, httponly=True, samesite="lax")


def same_origin(path: str | None, fallback: str = "/") -> str:
    """`path` where it is an address on this origin, else `fallback`: a redirect never leaves the platform."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")) or "\\" in path:
        return fallback
    if any(ord(c) < 0x20 for c in path) or urlsplit(path).netloc:
        return fallback
    return path


@dataclass
class Page:
    """The page being answered; a dependency of every page handler."""

    request: Request
    renderer: Renderer

    @property
    def locale(self) -> str:
        return self.renderer.locale(self.request)

    @property
    def principal(self) -> Principal | None:
        return getattr(self.request.state, "principal", None)

    @property
    def _(self) -> Callable[[str], str]:
        return self.renderer.translations.translator(self.locale)

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        errors: Mapping[str, str] | None = None,
        typed: Mapping[str, Any] | None = None,
        **context: Any,
    ) -> Response:
        """The page; with `errors` (field to message) it is answered with 422 unless another status is given."""
        if errors and status == 200:
            status = 422
        merged = {**context, "errors": dict(errors or {}), "typed": dict(typed or {})}
        return self.renderer.render(self.request, template, merged, status=status)

    def redirect(self, path: str, *, flash: str | None = None, kind: str = "success") -> Response:
        """303 to a page of this origin, with a message to show there (a msgid or translated text)."""
        response = RedirectResponse(same_origin(path), 303)
        # A page that leads elsewhere was asked for in a language, too.
        self.renderer.keep_language(self.request, response)
        if flash:
            write_flash(response, self._(flash), kind)
        return response

    async def form(self, model: type[F]) -> FormResult[F]:
        """Read the submitted form into `model`; what is wrong comes back as messages, never as an exception."""
        data = await self.request.form()
        typed, files = _fields(data, model)
        try:
            value = model.model_validate(typed)
        except ValidationError as error:
            found = validation_fields(error.errors(), self.locale)
            errors: dict[str, str] = {}
            for fault in found:
                # The first message of a field, the fields in the order of the form: a summary is read from the top.
                errors.setdefault(fault.field.split(".", 1)[0], fault.message)
            return FormResult(None, errors, typed, files)
        return FormResult(value, {}, typed, files)

    def errors_of(self, error: DomainError) -> dict[str, str]:
        """A domain error as field messages for `render(errors=…)`; without a field it stands under `""`."""
        fields = i18n.localize_fields(error, self.locale)
        if fields:
            return {f.field: f.message for f in fields}
        return {"": i18n.localize_error(error, self.locale)}

    def status_of(self, error: DomainError) -> int:
        return status_of(error)


def _fields(data: FormData, model: type[BaseModel]) -> tuple[dict[str, Any], dict[str, list[UploadFile]]]:
    """Text fields (a list where the model wants one; an empty field counts as absent) and files by field name."""
    typed: dict[str, Any] = {}
    files: dict[str, list[UploadFile]] = {}
    for name in dict.fromkeys(data.keys()):
        values = data.getlist(name)
        uploads = [v for v in values if isinstance(v, UploadFile) and (v.filename or v.size)]
        if uploads:
            files[name] = uploads
        texts = [v for v in values if isinstance(v, str)]
        if not texts or name in ("csrf_token", "idempotency_key"):
            continue
        declared = model.model_fields.get(name)
        wants_list = declared is not None and str(declared.annotation).startswith(("list", "tuple", "set"))
        if wants_list:
            typed[name] = [t for t in texts if t]
        elif texts[-1] != "":
            typed[name] = texts[-1]
    return typed, files
