"""Owns polls and surveys."""
