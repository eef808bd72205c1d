"""The media service: loudspeakers over MQTT, what they reach, and cameras over RTSP."""
