"""Whether this worker can do what every job needs: reach storage and sources, write temporary files, read languages.

Its main process looks, in a thread (lifecycle.access_watch). While something is wrong that stops it, it takes no parts.
A child that was denied something asks it whose fault that is: where the worker's own look fails, the part goes back
uncounted; where it passes, the denial is the job's own.
"""
