"""Runs this service's migrations on the connection the chassis hands over."""

from chassis.migrations import run

run()
