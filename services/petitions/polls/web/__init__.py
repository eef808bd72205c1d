"""The pages of polls: being asked and reading results (`residents`), making and minding them (`desk`)."""

from services.petitions.polls.web.desk import pages as desk_pages
from services.petitions.polls.web.residents import pages as resident_pages

routers = [desk_pages, resident_pages]
"""All page routers of polls."""
