"""Tourism points in the countryside: where they are, when they are open, and asking to come."""
