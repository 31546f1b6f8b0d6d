"""What runs on worker machines: Celery workers, the job pipeline and the engines."""
