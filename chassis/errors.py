"""Owns the named errors of the platform and what each kind means to a client."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What went wrong, as an HTTP status (RFC 9110) and the name of a gRPC status code."""

    MALFORMED = (400, "INVALID_ARGUMENT")
    UNAUTHENTICATED = (401, "UNAUTHENTICATED")
    FORBIDDEN = (403, "PERMISSION_DENIED")
    NOT_FOUND = (404, "NOT_FOUND")
    METHOD_NOT_ALLOWED = (405, "UNIMPLEMENTED")
    CONFLICT = (409, "FAILED_PRECONDITION")
    PRECONDITION = (412, "ABORTED")
    TOO_LARGE = (413, "RESOURCE_EXHAUSTED")
    UNSUPPORTED = (415, "INVALID_ARGUMENT")
    INVALID = (422, "INVALID_ARGUMENT")
    RATE_LIMITED = (429, "RESOURCE_EXHAUSTED")
    INTERNAL = (500, "INTERNAL")
    UNAVAILABLE = (503, "UNAVAILABLE")

    @property
    def http_status(self) -> int:
        return self.value[0]

    @property
    def grpc_status(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class FieldError:
    """One wrong field of a form or a body: its path and a message in Vietnamese (a msgid) with its `{params}`."""

    field: str
    message: str
    params: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, init=False)
class Said:
    """A sentence that is not yet in a language: a Vietnamese msgid with `{params}`, some of which may be sentences."""

    text: str
    params: Mapping[str, object]

    def __init__(self, text: str, /, **params: object) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "params", params)


class DomainError(Exception):
    """An error a client can understand and mend.

    `message` is a Vietnamese msgid with `{params}`; the chassis translates it and maps `kind` to HTTP and gRPC.
    """

    code: ClassVar[str] = "error"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Yêu cầu không thực hiện được."

    def __init__(self, *, field: str | None = None, **params: object) -> None:
        super().__init__(self.code)
        self.field = field
        self.params = params

    @property
    def text(self) -> str:
        """The message to translate, before its parameters are filled in."""
        return self.message

    @property
    def field_errors(self) -> tuple[FieldError, ...]:
        if self.field is None:
            return ()
        return (FieldError(self.field, self.text.format(**self.params)),)

    def __str__(self) -> str:
        return f"{self.code}: {self.text.format(**self.params)}"


class Invalid(DomainError):
    """A well-formed request whose content cannot be accepted; says which field and why."""

    code = "invalid"
    kind = Kind.INVALID
    message = "Dữ liệu không hợp lệ."

    def __init__(self, *, field: str | None = None, message_: str | None = None, **params: object) -> None:
        super().__init__(field=field, **params)
        self._message = message_

    @property
    def text(self) -> str:
        return self._message or self.message


class InvalidFields(DomainError):
    """Several wrong fields at once."""

    code = "invalid"
    kind = Kind.INVALID
    message = "Một số mục chưa đúng, xin xem lại."

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__()
        self._errors = tuple(errors)

    @property
    def field_errors(self) -> tuple[FieldError, ...]:
        return self._errors


class Malformed(Invalid):
    code = "malformed"
    kind = Kind.MALFORMED
    message = "Yêu cầu không đọc được."


class NotFound(DomainError):
    code = "not_found"
    kind = Kind.NOT_FOUND
    message = "Không tìm thấy."


class Forbidden(DomainError):
    code = "forbidden"
    kind = Kind.FORBIDDEN
    message = "Tài khoản này không có quyền thực hiện việc đó."


class Unauthenticated(DomainError):
    code = "unauthenticated"
    kind = Kind.UNAUTHENTICATED
    message = "Cần đăng nhập để tiếp tục."


class CsrfRefused(DomainError):
    code = "csrf"
    kind = Kind.FORBIDDEN
    message = "Phiên làm việc của trang đã cũ. Xin tải lại trang rồi gửi lại."


class TooLarge(DomainError):
    code = "too_large"
    kind = Kind.TOO_LARGE
    message = "Nội dung gửi lên lớn hơn mức cho phép ({limit} byte)."


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"
    kind = Kind.INVALID
    message = "Mã chống gửi trùng này đã dùng cho một nội dung khác."


class Unavailable(DomainError):
    code = "unavailable"
    kind = Kind.UNAVAILABLE
    message = "Hệ thống đang bận, xin thử lại sau ít phút."
