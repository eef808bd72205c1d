"""The shapes of JSON, gRPC and words that entry points share."""
