"""Accounts of people: passwords, personal data, consent, roles on units."""
