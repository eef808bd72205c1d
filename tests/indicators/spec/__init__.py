"""The specification of the criteria, as tests: written from the official texts, run against the running service."""
