"""The steps from a reference to a stored Document: fetch, decode, recognise, crop, store.

An Attempt goes through them; nothing here decides what comes of a job that fails.
"""
