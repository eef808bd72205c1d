"""The public directory of staff who agreed to be listed."""
