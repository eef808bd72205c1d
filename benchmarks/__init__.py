"""Reproducible measurements of the platform, each with its baseline beside it in the same run."""
