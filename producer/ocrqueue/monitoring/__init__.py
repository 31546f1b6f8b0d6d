"""How an installation fares, as its records in Redis tell: for Prometheus, and for people at a terminal."""
