"""Keeping sets, measures and overlays: following, routes and command of those who maintain them."""
