"""What is asked of the calculation: sheets, other days, what if, why, history, the changes as they come."""
