"""The indicators service: which unit meets which official criterion, since when, and because of what."""
