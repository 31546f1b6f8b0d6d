"""Events of buckets: what was stored there is submitted by rules.

A message is unwrapped (`sns`), its events are read (`notifications`), the first rule that fits decides of each
(`rules`), and `routes` submits.
"""
