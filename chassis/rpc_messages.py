"""Owns what a gRPC message must be before a servicer sees it, and how an error is told to a gRPC client."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from pydantic import ValidationError

from chassis import i18n, problems
from chassis.errors import DomainError, FieldError, Invalid, InvalidFields, Kind
from chassis.text import has_control

_DOMAIN = "xaso"
_RETRY_SECONDS = 5
_RETRY_KINDS = (Kind.UNAVAILABLE, Kind.RATE_LIMITED)


def clean(message: Message) -> str | None:
    """Bring every text of ``message`` to NFC, in place; returns the path of the first text with a control character.

    Line breaks and tabs are allowed. Protobuf itself refuses text that is not UTF-8.
    """
    wrong: str | None = None
    for field, value in message.ListFields():
        for path, found in _clean_field(message, field, value):
            wrong = wrong or (f"{field.name}{path}" if found else None)
    return wrong


def _clean_field(message: Message, field: FieldDescriptor, value: Any) -> Iterator[tuple[str, bool]]:
    if _is_map(field):
        yield from _clean_map(field, value)
    elif field.type == FieldDescriptor.TYPE_STRING:
        if field.is_repeated:
            for index, text in enumerate(value):
                value[index] = _nfc(text)
                yield f"[{index}]", _bad(text)
        else:
            if not text_is_plain(value):
                setattr(message, field.name, _nfc(value))
            yield "", _bad(value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        for place, item in enumerate(value) if field.is_repeated else [(-1, value)]:
            inner = clean(item)
            yield (f"[{place}]" if place >= 0 else "") + f".{inner}", inner is not None


def _clean_map(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, bool]]:
    entry = field.message_type
    assert entry is not None, "a map field has an entry type"  # noqa: S101 - it tells the type checker.
    kind = entry.fields_by_name["value"].type
    for key in list(value):
        yield f"[{key}]", isinstance(key, str) and _bad(key)
        if kind == FieldDescriptor.TYPE_STRING:
            text = value[key]
            value[key] = _nfc(text)
            yield f"[{key}]", _bad(text)
        elif kind == FieldDescriptor.TYPE_MESSAGE:
            inner = clean(value[key])
            yield f"[{key}].{inner}", inner is not None


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.is_repeated and field.message_type.GetOptions().map_entry)


def text_is_plain(text: str) -> bool:
    """Whether ``text`` is in NFC already."""
    return text.isascii() or unicodedata.is_normalized("NFC", text)


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _bad(text: str) -> bool:
    return not text.isprintable() and has_control(text, allowed="\n\r\t")


def uuid_of(text: str, field: str) -> uuid.UUID:
    """The UUID in a request's field; raises :class:`Invalid` naming the field otherwise."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise Invalid(field=field, message_="Mã định danh không hợp lệ.") from error


def classify(error: Exception, locale: str) -> DomainError:
    """The error a client may see; a pydantic finding is the client's mistake, since only edges use pydantic."""
    if isinstance(error, ValidationError):
        findings = error.errors(include_url=False, include_input=False)
        return InvalidFields(problems.validation_fields(findings, locale))
    return problems.classify(error)


def code_of(error: DomainError) -> grpc.StatusCode:
    """The gRPC status of a domain error."""
    return grpc.StatusCode[error.kind.grpc_status]


def status_of(error: DomainError, locale: str) -> status_pb2.Status:
    """The rich status (google.rpc.Status): ErrorInfo with our code, BadRequest with the fields, RetryInfo where due."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.code.upper(), domain=_DOMAIN, metadata={"code": error.code})
    ]
    fields: list[FieldError] = i18n.localize_fields(error, locale)
    if fields:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=wrong.field, description=wrong.message)
                    for wrong in fields
                ]
            )
        )
    if error.kind in _RETRY_KINDS:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_SECONDS)))
    status = status_pb2.Status(code=code_of(error).value[0], message=i18n.localize_error(error, locale))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status
