"""A server that speaks Google Cloud Vision's protocol, over gRPC and REST, with the client library's own types."""
