"""The Celery task: a delivery from the moment a child has it until it is settled, alone or in a group.

It decides what an error means for the job; the reading itself is in `pipeline` and `routes`.
"""
