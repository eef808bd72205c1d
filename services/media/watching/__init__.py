"""Owns the rules that watch cameras and what they saw."""
