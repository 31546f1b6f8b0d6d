"""The worker's main process, from its start to its end: readiness, heartbeat, liveness, due retries, cancel, shutdown.

Each module is a bootstep of Celery's, or what one needs.
"""
