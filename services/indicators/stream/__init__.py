"""The stream of events of all services, and what each type of event says as facts."""
