"""Owns the language of the words in answers to programs: titles, reasons, what is wrong with a file.

Errors follow `Accept-Language` by themselves (`chassis/problems.py`); the words in an answer follow it the same way.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from chassis.i18n import LANGUAGE_VARIES

Lang = Annotated[
    Literal["vi", "en"] | None,
    Query(description="Language of titles and other words. Default: `Accept-Language`, then Vietnamese."),
]


def spoken(request: Request, response: Response, lang: Literal["vi", "en"] | None = None) -> str:
    """The language of an answer: `lang`, then the cookie, then `Accept-Language`; the headers of `response` say so.

    A route that makes its own response hands on `response.headers`.
    """
    locale: str = lang or request.app.state.renderer.json_locale(request)
    response.headers["content-language"] = locale
    response.headers["vary"] = LANGUAGE_VARIES
    return locale
