"""The indicators service as a process that can be killed, what it is told, and the checker of what became of it."""
