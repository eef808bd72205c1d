"""Figures through a reorganisation of units: carried over, or listed for people to settle."""
