"""Other stream processors on the same events as ours: their environment, and their side of the measurement."""
