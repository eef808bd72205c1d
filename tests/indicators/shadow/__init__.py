"""The rebuild from the stream, on a real Kafka and a real PostgreSQL."""
