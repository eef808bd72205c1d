"""Cameras: the registry, RTSP probes, intervals of availability."""
