"""Alembic runs this; the chassis hands over the connection."""

from chassis.migrations import run

run()
