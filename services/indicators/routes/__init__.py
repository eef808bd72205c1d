"""JSON routes and gRPC services."""
