"""How an installation fares, as its records in Redis tell.

`ocrqueue metrics` serves it to Prometheus, and `ocrqueue top` shows it to people at a terminal.
"""
