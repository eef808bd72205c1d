"""Loudspeakers: the registry, residential clusters, test bulletins, the MQTT hub."""
