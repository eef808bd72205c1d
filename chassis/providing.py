"""Owns how a route gives its endpoint what is made of the request alone, without FastAPI's general way."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from fastapi import params
from starlette.requests import Request

Provider = Callable[[Request], Awaitable[Any]]


def provider(of: inspect.Parameter) -> Provider | None:
    """How to make the value of a parameter out of the request alone; None where it takes FastAPI to make it."""
    found = [m for m in getattr(of.annotation, "__metadata__", ()) if type(m) is params.Depends]
    make = found[0].dependency if len(found) == 1 else None
    if make is None or not inspect.iscoroutinefunction(make):
        return None
    needs = inspect.signature(make, eval_str=True).parameters
    if [need.annotation for need in needs.values()] == [Request]:
        return make
    inner = {name: provider(need) for name, need in needs.items()}
    if not all(inner.values()):
        return None

    async def provide(request: Request) -> Any:
        return await make(**{name: await of(request) for name, of in inner.items() if of is not None})

    return provide


def depends_on(of: inspect.Parameter, make: Callable[..., Any]) -> bool:
    """Whether the value of a parameter is made by `make`, or of something that is."""
    for found in getattr(of.annotation, "__metadata__", ()):
        inner = found.dependency if type(found) is params.Depends else None
        if inner is make:
            return True
        if inner is None or isinstance(inner, type):
            continue
        if any(depends_on(need, make) for need in inspect.signature(inner, eval_str=True).parameters.values()):
            return True
    return False


def providing(endpoint: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Provider]]:
    """`endpoint` as FastAPI shall see it, and what the route itself provides to it.

    Transaction and principal are made of nothing but the request. FastAPI's way to dependencies is general, and for
    these it took a tenth of a request's time; so the route makes them, and FastAPI sees an endpoint without them.
    """
    if not inspect.iscoroutinefunction(endpoint):
        return endpoint, {}
    signature = inspect.signature(endpoint, eval_str=True)
    found = {name: provider(of) for name, of in signature.parameters.items()}
    providers = {name: provider for name, provider in found.items() if provider is not None}
    if not providers:
        return endpoint, {}
    rest = [of for name, of in signature.parameters.items() if name not in providers]
    own = next((of.name for of in rest if of.annotation is Request), None)
    keyword = inspect.Parameter.KEYWORD_ONLY
    if own is None:
        rest.append(inspect.Parameter("request", keyword, annotation=Request))

    @wraps(endpoint)
    async def provided(**given: Any) -> Any:
        request: Request = given[own] if own is not None else given.pop("request")
        return await endpoint(**given, **request.state.provided)

    seen = signature.replace(parameters=[of.replace(kind=keyword) for of in rest])
    provided.__signature__ = seen  # type: ignore[attr-defined]  # functions take attributes, and inspect asks for it.
    return provided, providers
