"""Who is asking: grants on units, and what a verified token says of them (see `chassis.tokens`).

This module owns the one scope helper (:meth:`Principal.may` and :meth:`Principal.require`): every page, JSON route and
gRPC method asks it, so that a grant on a unit means the same thing everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from chassis.errors import Forbidden, NotFound, Unauthenticated, Unavailable

if TYPE_CHECKING:
    pass

AUDIENCE = "xaso"
ALL_SCOPES = "xaso"
STAFF: tuple[str, ...] = ("officer", "leader", "admin")
VIEWERS: tuple[str, ...] = (*STAFF, "viewer", "village_head")

Kind = Literal["person", "partner"]


class TokenExpired(Unauthenticated):
    """The token was good once: the client should fetch a new one."""

    code: ClassVar[str] = "token_expired"
    message: ClassVar[str] = "Phiên đăng nhập đã hết hạn. Hãy đăng nhập lại."


class TokenInvalid(Unauthenticated):
    """The token is not one of ours, is meant for somebody else, or is no access token at all."""

    code: ClassVar[str] = "token_invalid"
    message: ClassVar[str] = "Mã truy cập không hợp lệ."


class SessionEnded(Unauthenticated):
    """The token was good, but what it stands for was ended: signed out, shut, another password, a role taken back."""

    code: ClassVar[str] = "session_ended"
    message: ClassVar[str] = "Phiên đăng nhập đã kết thúc. Hãy đăng nhập lại."


class ScopeMissing(Forbidden):
    """The client was not granted the right it uses."""

    code: ClassVar[str] = "scope_missing"
    message: ClassVar[str] = "Mã truy cập thiếu quyền “{scope}”."


class KeysUnavailable(Unavailable):
    """No signing key was ever received, so that nothing can be verified yet."""

    code: ClassVar[str] = "keys_unavailable"
    message: ClassVar[str] = "Chưa thể kiểm tra đăng nhập. Hãy thử lại sau ít phút."


def session_mark(held_by: str) -> str:
    """How an account or a sign-in (its id) stands in the list of ended sessions: a fingerprint in hex."""
    return hashlib.sha256(held_by.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def covers(granted: str, path: str) -> bool:
    """Whether a grant on the unit path ``granted`` counts for the unit path ``path``.

    Paths are compared by segment: ``30/298`` covers itself and ``30/298/11086``, never ``30/2981``.
    """
    return bool(granted) and (path == granted or path.startswith(granted + "/"))


@dataclass(frozen=True, slots=True)
class Grant:
    """A role held on a unit; it counts for everything below that unit."""

    role: str
    unit: str
    path: str


@dataclass(frozen=True, slots=True)
class Principal:
    """The person or partner behind a request, as a verified token names them."""

    subject: str
    name: str
    kind: Kind
    grants: tuple[Grant, ...] = ()
    scopes: frozenset[str] = frozenset()
    client_id: str | None = None
    session_id: str | None = None

    def may(self, roles: Collection[str], path: str) -> bool:
        """Whether one of ``roles`` is held on the unit at ``path`` or on a unit above it."""
        return any(grant.role in roles and covers(grant.path, path) for grant in self.grants)

    def require(self, roles: Collection[str], path: str, *, hide: bool = False) -> None:
        """Raise :class:`Forbidden` unless :meth:`may`; with ``hide``, :class:`NotFound`, as if nothing were there."""
        if not self.may(roles, path):
            raise NotFound() if hide else Forbidden()

    def has_scope(self, scope: str) -> bool:
        """Whether the token carries ``scope``; ``xaso`` in a person's token, not in a partner's, stands for all."""
        return scope in self.scopes or (self.kind == "person" and ALL_SCOPES in self.scopes)

    def require_scope(self, scope: str) -> None:
        """Raise :class:`ScopeMissing` (403) unless :meth:`has_scope`."""
        if not self.has_scope(scope):
            raise ScopeMissing(scope=scope)

    @property
    def roles(self) -> set[str]:
        """Every role held anywhere."""
        return {grant.role for grant in self.grants}

    @property
    def home(self) -> Grant | None:
        """The first grant: where the person's pages open."""
        return self.grants[0] if self.grants else None


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """Read a principal from verified claims; raise :class:`TokenInvalid` when a claim has another shape."""
    subject, kind, scope = claims.get("sub"), claims.get("kind", "person"), claims.get("scope", "")
    if not isinstance(subject, str) or not subject or kind not in ("person", "partner") or not isinstance(scope, str):
        raise TokenInvalid()
    grants = []
    listed = claims.get("grants") or []
    if not isinstance(listed, list):
        raise TokenInvalid()
    for item in listed:
        if not isinstance(item, list) or len(item) != 3 or not all(isinstance(part, str) and part for part in item):
            raise TokenInvalid()
        grants.append(Grant(*item))
    return Principal(
        subject=subject,
        name=str(claims.get("name") or ""),
        kind=kind,
        grants=tuple(grants),
        scopes=frozenset(scope.split()),
        client_id=_text_or_none(claims.get("client_id")),
        session_id=_text_or_none(claims.get("sid")),
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
