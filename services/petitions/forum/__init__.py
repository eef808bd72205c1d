"""Owns the forum in which villages and communes share what they have learnt: threads, posts, their moderation."""
