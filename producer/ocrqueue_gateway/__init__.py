"""HTTP for ocrqueue: the native API under /v1. It holds no state: all that it knows is in Redis and storage."""
