"""Administrative units: their official list, their entry by staff, their publication to every service."""
