"""Signing in: throttled passwords, signing keys and the access tokens every service verifies by itself."""
