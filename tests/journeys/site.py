"""Owns where things are on a platform on which the story was played: units, products, devices, and every page of it."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.addresses import Login, Logins
from launcher.scenario.talk import visitor
from launcher.scenario.village import commune


@dataclass(frozen=True)
class Site:
    """The platform at `web`; `pages` are its pages by who looks at them, each with a name for its picture."""

    web: str
    logins: Logins
    commune: str
    villages: tuple[str, ...]
    pages: dict[str, list[tuple[str, str]]]

    def login(self, who: str) -> Login | None:
        """The login of somebody in `pages`; None for the public."""
        return None if who == "public" else self.logins[who]  # type: ignore[literal-required]  # keys of Logins.


async def find(web: str, logins: Logins) -> Site:
    """Look up what the story made, as its officer and its admin."""
    async with visitor(web, "officer", logins["officer"]) as officer, visitor(web, "admin", logins["admin"]) as admin:
        code = await commune(officer)
        found = await officer.all("/identity/api/v1/units", level="village", parent=code)
        villages = tuple(unit["code"] for unit in found)
        ids = {
            "team": (await officer.all("/identity/api/v1/teams", unit=code))[0]["id"],
            "product": (await officer.all("/ecommerce/api/v1/products", unit=code))[0]["id"],
            "producer": (await officer.all("/ecommerce/api/v1/producers", unit=code))[0]["id"],
            "speaker": (await officer.all("/media/api/v1/loudspeakers", unit=code))[0]["id"],
            "cluster": (await officer.all("/media/api/v1/clusters", unit=code))[0]["id"],
            "camera": (await officer.all("/media/api/v1/cameras", unit=code))[0]["id"],
            "bulletin": (await officer.all("/media/api/v1/bulletins", unit=code))[0]["id"],
            "account": (await admin.all("/identity/api/v1/accounts"))[0]["id"],
        }
        case = (await officer.all("/petitions/api/v1/petitions", unit=code))[0]
        ids |= {"case": case["id"], "case_code": case["code"], "commune": code, "village": villages[0]}
    pages = {who: [(name, path.format(**ids)) for name, path in rows] for who, rows in PAGES.items()}
    return Site(web, logins, code, villages, pages)


PAGES = {
    "public": [
        ("home", "/"),
        ("login", "/identity/login"),
        ("register", "/identity/register"),
        ("identity-home", "/identity/"),
        ("units", "/identity/units"),
        ("unit", "/identity/units/{commune}"),
        ("directory", "/identity/directory"),
        ("teams", "/identity/teams"),
        ("team", "/identity/teams/{team}"),
        ("petitions", "/petitions/?unit={commune}"),
        ("petition", "/petitions/{case_code}"),
        ("report-signed-out", "/petitions/report?unit={commune}"),
        ("catalogue", "/ecommerce/"),
        ("product", "/ecommerce/products/{product}"),
        ("label", "/ecommerce/products/{product}/label"),
        ("indicators", "/indicators/"),
        ("indicators-units", "/indicators/units"),
        ("sheet", "/indicators/units/{village}"),
        ("sheet-missing", "/indicators/units/{village}?set=hd-288-2023&show=missing"),
        ("commune-overview", "/indicators/units/{commune}"),
        ("province-overview", "/indicators/units/30"),
        ("sheet-39", "/indicators/units/{commune}?set=mard-2023-smart-commune"),
        ("sheet-then", "/indicators/units/{village}?as_of=2024-06-30"),
        ("explanation-public", "/indicators/units/{village}/items/288.5"),
        ("history", "/indicators/units/{village}/items/288.5/history"),
        ("quality-public", "/indicators/units/{commune}/quality"),
        ("what-if-public", "/indicators/units/{village}/what-if"),
        ("sets", "/indicators/sets"),
        ("set", "/indicators/sets/hd-288-2023"),
        ("set-39", "/indicators/sets/mard-2023-smart-commune"),
        ("media-public", "/media/?unit={commune}"),
        ("not-found", "/petitions/PA-2026-999999"),
    ],
    "resident": [
        ("report", "/petitions/report"),
        ("mine", "/petitions/mine"),
        ("case-resident", "/petitions/{case_code}"),
        ("account", "/identity/account"),
        ("erase", "/identity/account/erase"),
    ],
    "officer": [
        ("inbox", "/petitions/inbox"),
        ("inbox-case", "/petitions/inbox/{case}"),
        ("unit-officer", "/identity/units/{commune}"),
        ("team-officer", "/identity/teams/{team}"),
        ("team-new", "/identity/teams/new?unit={village}"),
        ("team-dissolve", "/identity/teams/{team}/dissolve"),
        ("explanation-fibre", "/indicators/units/{village}/items/288.5"),
        ("explanation-petition", "/indicators/units/{village}/items/288.1"),
        ("entry", "/indicators/units/{village}/entry"),
        ("what-if", "/indicators/units/{village}/what-if"),
        ("quality", "/indicators/units/{commune}/quality"),
        ("imports", "/indicators/units/{commune}/imports"),
        ("media", "/media/"),
        ("media-village", "/media/villages/{village}"),
        ("loudspeaker-new", "/media/villages/{village}/loudspeakers/new"),
        ("loudspeaker", "/media/loudspeakers/{speaker}"),
        ("loudspeaker-secret", "/media/loudspeakers/{speaker}/secret"),
        ("loudspeaker-retire", "/media/loudspeakers/{speaker}/retire"),
        ("cluster-retire", "/media/clusters/{cluster}/retire"),
        ("camera-new", "/media/villages/{village}/cameras/new"),
        ("camera", "/media/cameras/{camera}"),
        ("camera-retire", "/media/cameras/{camera}/retire"),
        ("test", "/media/villages/{village}/test"),
        ("bulletins", "/media/bulletins"),
        ("bulletin", "/media/bulletins/{bulletin}"),
        ("products-manage", "/ecommerce/manage"),
        ("producers", "/ecommerce/producers"),
        ("product-manage", "/ecommerce/products/{product}/manage"),
        ("product-edit", "/ecommerce/products/{product}/edit"),
        ("product-withdraw", "/ecommerce/products/{product}/withdraw"),
    ],
    "producer": [
        ("products-mine", "/ecommerce/mine"),
        ("product-own", "/ecommerce/products/{product}/manage"),
        ("product-new", "/ecommerce/products/new"),
        ("producer-new", "/ecommerce/producers/new"),
    ],
    "leader": [
        ("accounts-leader", "/identity/accounts"),
    ],
    "admin": [
        ("accounts-admin", "/identity/accounts"),
        ("account-new", "/identity/accounts/new"),
        ("account-roles", "/identity/accounts/{account}"),
        ("dead-letters", "/indicators/dead-letters"),
        ("settlements", "/indicators/settlements"),
    ],
}
"""Who looks at which page. A page of people lies with the least of those who may see it."""
