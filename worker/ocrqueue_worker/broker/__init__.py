"""Kombu's Redis transport as workers use it: which queue is asked next, what a message may hold, what is unsettled.

Nothing else in the worker knows how messages travel.
"""
