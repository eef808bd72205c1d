"""Owns notices to phones."""
