"""The pages of indicators: drilling down (`overview`), one unit (`sheet`), why (`explain`), the sets, entry."""

from services.indicators.web.documents import pages as document_pages
from services.indicators.web.entry import pages as entry_pages
from services.indicators.web.explain import pages as explain_pages
from services.indicators.web.imports import pages as import_pages
from services.indicators.web.overview import pages as overview_pages
from services.indicators.web.quality import pages as quality_pages
from services.indicators.web.sets import pages as set_pages
from services.indicators.web.settlements import pages as settlement_pages
from services.indicators.web.sheet import pages as sheet_pages
from services.indicators.web.supposing import pages as supposing_pages

routers = [
    overview_pages,
    sheet_pages,
    explain_pages,
    set_pages,
    quality_pages,
    supposing_pages,
    entry_pages,
    import_pages,
    document_pages,
    settlement_pages,
]
"""All page routers of the service."""
