"""Alembic runs the migrations of this service on the connection the chassis hands over."""

from chassis.migrations import run

run()
