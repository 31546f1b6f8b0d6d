"""What a worker tells of itself: logs, metrics, traces.

Nothing here changes what happens to a job.
"""
