"""Owns how an error is told over HTTP: problem+json (RFC 9457) to programs, a page to people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chassis import i18n, telemetry
from chassis.db import is_bad_value, is_transient
from chassis.errors import DomainError, FieldError, Invalid, Kind, Malformed, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from chassis.pages import Renderer

log = telemetry.logger(__name__)

PROBLEM = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_TEXT = {"type": "string"}
_FIELD = {"type": "object", "properties": {"field": _TEXT, "message": _TEXT}, "required": ["field", "message"]}
_MEMBERS = {
    "type": _TEXT,
    "title": _TEXT,
    "status": {"type": "integer"},
    "detail": _TEXT,
    "code": _TEXT,
    "instance": _TEXT,
    "errors": {"type": "array", "items": _FIELD},
}
_SCHEMA = {"type": "object", "properties": _MEMBERS, "required": [name for name in _MEMBERS if name != "errors"]}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is refused: RFC 9457.", "content": {PROBLEM: {"schema": _SCHEMA}}},
    "503": {"description": "Come back after Retry-After.", "content": {PROBLEM: {"schema": _SCHEMA}}},
}
"""The answers that every route of a JSON API may give beside its own, as OpenAPI tells them."""


class _Internal(DomainError):
    code = "internal"
    kind = Kind.INTERNAL
    message = "Hệ thống gặp lỗi. Mã sự cố: {incident}."


class _Status(DomainError):
    """An error that the framework itself raised: unknown route, wrong method."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__()
        self.status = status
        self._text = text

    @property
    def text(self) -> str:
        return self._text


_STATUS_TEXT = {
    400: "Yêu cầu không đọc được.",
    404: "Không tìm thấy.",
    405: "Địa chỉ này không nhận kiểu yêu cầu đó.",
    406: "Không có dạng dữ liệu được yêu cầu.",
    413: "Nội dung gửi lên lớn hơn mức cho phép.",
    415: "Kiểu dữ liệu gửi lên không được hỗ trợ.",
}


def classify(error: Exception) -> DomainError:
    """The error a client may see. What is nobody's fault becomes 503, a bug becomes 500 with a number to quote."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, RequestValidationError):
        malformed = any(e.get("type") == "json_invalid" for e in error.errors())
        return Malformed() if malformed else Invalid()
    if isinstance(error, HTTPException):
        return _Status(error.status_code, _STATUS_TEXT.get(error.status_code, "Yêu cầu không thực hiện được."))
    if is_transient(error):
        log.warning("database_away", error=type(error).__name__)
        return Unavailable()
    if is_bad_value(error):
        return Invalid(message_="Có giá trị mà hệ thống không lưu được (ký tự hoặc con số không hợp lệ).")
    incident = uuid.uuid4().hex[:12]
    log.error("unexpected_error", error=type(error).__name__, code=incident, exc_info=error)
    return _Internal(incident=incident)


def status_of(error: DomainError) -> int:
    return error.status if isinstance(error, _Status) else error.kind.http_status


def validation_fields(errors: Sequence[Any], locale: str) -> list[FieldError]:
    """Pydantic's findings as fields with messages in the reader's language; `body.` and `query.` are left out."""
    fields = []
    for item in errors:
        place = [str(p) for p in item["loc"] if p not in ("body", "query", "path", "header", "form")]
        fields.append(FieldError(".".join(place) or "body", i18n.validation_message(item, locale)))
    return fields


def fields_of(original: Exception, error: DomainError, locale: str) -> list[FieldError]:
    if isinstance(original, RequestValidationError):
        return validation_fields(original.errors(), locale)
    return i18n.localize_fields(error, locale)


def problem(request: Request, original: Exception, locale: str) -> Response:
    """The problem+json of an error."""
    error = classify(original)
    status = status_of(error)
    code = f"http_{status}" if isinstance(error, _Status) else error.code
    detail = i18n.localize_error(error, locale)
    body: dict[str, Any] = {
        "type": f"urn:xaso:problem:{code}",
        "title": detail,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": request.url.path,
    }
    fields = fields_of(original, error, locale)
    if fields:
        body["errors"] = [{"field": f.field, "message": f.message} for f in fields]
    headers = {"content-language": locale, "vary": i18n.LANGUAGE_VARIES}
    if isinstance(original, HTTPException) and original.headers:
        headers.update(original.headers)
    if status == 503:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if status == 401:
        headers["www-authenticate"] = f'Bearer error="{code}"'
    return Response(orjson.dumps(body), status, headers, PROBLEM)


def error_page(request: Request, original: Exception, renderer: Renderer) -> Response:
    """The page of an error; somebody who is not signed in is sent to sign in and comes back."""
    error = classify(original)
    status = status_of(error)
    if isinstance(error, Unauthenticated) and request.method in ("GET", "HEAD"):
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/identity/login?next={quote(back, safe='/')}", 303)
    locale = renderer.locale(request)
    response = renderer.render(
        request,
        "error.html",
        {
            "status": status,
            "detail": i18n.localize_error(error, locale),
            "errors": {f.field: f.message for f in fields_of(original, error, locale)},
            "code": error.code,
            "trace": error.params.get("incident"),
        },
        status=status,
    )
    if status == 503:
        response.headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return response
