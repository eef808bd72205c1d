"""Rules over all services. A package, so that the services its tests share end with it."""
