"""The pages of petitions: reading and following (`residents`), sending (`report`), working through them (`desk`)."""

from services.petitions.web.desk import pages as desk_pages
from services.petitions.web.report import pages as report_pages
from services.petitions.web.residents import pages as resident_pages

routers = [report_pages, desk_pages, resident_pages]
"""All page routers of the service."""
