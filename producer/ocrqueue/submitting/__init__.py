"""From what an app hands over to jobs in their queues: `submission` makes the jobs, `pending` holds them in order while
their images are uploaded, `sending` and `aio_sending` queue them.
"""
