"""Owns production diaries, lots and their EPCIS events."""
