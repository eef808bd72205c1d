"""Owns the page that answers "what if": other figures are tried by address, and nothing is stored."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from chassis import units
from chassis.errors import InvalidFields
from chassis.units import LEVELS
from chassis.web import MaybeMe, Page, PageRouter, Tx
from services.indicators import views
from services.indicators.answers import asking, newcomers, whatif
from services.indicators.answers.newcomers import Newcomers
from services.indicators.answers.singles import Single
from services.indicators.answers.whatif import Change, Supposition
from services.indicators.calculation.model import restore
from services.indicators.criteria import library
from services.indicators.criteria.catalogue import Catalogue
from services.indicators.criteria.figures import Ratio
from services.indicators.views.supposing import SupposedView
from services.indicators.web.shell import TEMPLATES, SetParam, chosen_set, unit_path

pages = PageRouter(templates=TEMPLATES)

MOST = 10**12
KINDS = ("more", "yes", "share", "of", "state", "thing", "new")


def typed_of(request: Request) -> dict[str, str]:
    """The fields of the form: `more:village.fibre_households` and the like; others are left alone."""
    fields = {}
    # Rows that share a measure ask for it twice: what was left empty in one of them says nothing.
    for name, value in request.query_params.multi_items():
        if name.partition(":")[0] in KINDS and ":" in name and len(name) < 200 and value.strip():
            fields[name] = value.strip()[:40]
    return fields


def changes_of(typed: dict[str, str], catalogue: Catalogue) -> tuple[list[Supposition], dict[str, str]]:
    """What was supposed, and per field what cannot be read."""
    changes: list[Supposition] = []
    errors: dict[str, str] = {}
    for name, value in typed.items():
        kind, _, subject = name.partition(":")
        if kind == "thing":
            attribute, _, entity = subject.partition(":")
            changes.append(Single(attribute, entity, restore(value, None, None)))
        elif kind == "yes":
            changes.append(Change(subject, value=True))
        elif kind == "state":
            changes.append(Change(subject, value=value))
        elif kind == "new":
            new = _newcomers(subject, value, catalogue)
            if isinstance(new, str):
                errors[name] = new
            else:
                changes.append(new)
        elif kind in ("more", "share"):
            numbers = [value, typed.get(f"of:{subject}", "")] if kind == "share" else [value]
            if not all(n.isascii() and n.isdecimal() and int(n) <= MOST for n in numbers):
                errors[name] = "Phải là số nguyên từ 0." if kind == "more" else "Phải là hai số nguyên từ 0."
            elif kind == "more":
                changes.append(Change(subject, more=int(numbers[0])))
            else:
                changes.append(Change(subject, value=Ratio(int(numbers[0]), int(numbers[1]))))
    return changes, errors


def _newcomers(subject: str, value: str, catalogue: Catalogue) -> Newcomers | str:
    """So many new things that a measure would count, or what is wrong with the field."""
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= newcomers.MOST):
        return "Phải là số nguyên từ 1 đến 1.000.000."
    measure = catalogue.measures.get(subject)
    found = newcomers.counting(measure, int(value), catalogue) if measure is not None else None
    return found or "Thước đo này không đếm từng đối tượng."


@pages.get("/units/{code}/what-if")
async def what_if(request: Request, page: Page, tx: Tx, me: MaybeMe, code: str, set_code: SetParam = None) -> Response:
    """How the unit would stand with other figures, and the least that would turn each row.

    Single things are offered to those who may see their ids.
    """
    here = await units.get(tx, code)
    of = chosen_set(set_code, here)
    if LEVELS.index(here.level) < LEVELS.index(of.level):
        return page.redirect(views.place(here, of))
    catalogue = library.catalogue()
    typed = typed_of(request)
    changes, errors = changes_of(typed, catalogue)
    await asking.allow(tx, me, code, changes)
    ids = asking.sees_ids(me, here)
    try:
        found = await whatif.suppose(tx, code, of, catalogue, [] if errors else changes, detail=ids)
    except InvalidFields as fault:
        names = [name for name in typed if not name.startswith("of:")]
        for field, message in page.errors_of(fault).items():
            place = field.split(".")[1] if field.startswith("changes.") else ""
            errors[names[int(place)] if place.isdecimal() and int(place) < len(names) else ""] = message
        found = await whatif.suppose(tx, code, of, catalogue, detail=ids)
    view = SupposedView(found, typed, catalogue, page.locale, page._, asked=bool(typed) and not errors)
    address = f"/indicators/units/{here.code}/what-if"
    return page.render(
        "what_if.html",
        title=page._("Nếu thì sao?"),
        unit=here,
        set=of,
        set_title=of.title.in_(page.locale),
        view=view,
        typed=typed,
        errors={name: page._(message) for name, message in errors.items()},
        least=views.address(address, set=of.code, **view.least) if view.least else None,
        clear=views.address(address, set=of.code) if typed else None,
        unit_path=await unit_path(tx, here, of),
        back_href=views.place(here, of),
        back_label=here.name,
        search_url="/indicators/units",
    )
