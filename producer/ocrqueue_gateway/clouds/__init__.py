"""The protocols of the big clouds' text recognition: their own clients, unmodified, ask this system.

Each protocol has a folder: it translates a request, submits, waits or answers with an operation, and translates the
Document. What they have in common is here.

background.py   work that goes on after the answer
rules.py        which engine and languages stand behind a protocol, and which buckets and topics its clients may name
json_files.py   JSON bodies with files in them, in base64, which go to disk as they come
reading.py      jobs of clients that wait, and of those that ask again
operations.py   what is remembered of a request that is answered later
mounting.py     routes, and the protocol's own form of every error
"""
