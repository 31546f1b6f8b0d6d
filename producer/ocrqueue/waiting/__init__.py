"""Waiting for jobs: `watch` knows what to read and when, `subscriber` and `aio_subscriber` do it for each client."""
