"""Owns charges, bank notices and who pays online."""
