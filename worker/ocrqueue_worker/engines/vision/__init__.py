"""The Google Cloud Vision engine: pages of many jobs in one request, under one limit that all workers share.

options.py       what a job may ask for
languages.py     ISO 639-2 names, and Google's
encoding.py      a page as bytes that Google takes
service.py       the client library: endpoint, transport, credentials
failures.py      what Google's errors mean here
rate_limit.py    the token bucket and the month's budget in Redis
gathering.py     concurrent calls' images in shared requests, retried
annotations.py   Google's annotations as a Page
engine.py        all of it together

Google's libraries are imported where they are used: the engine can be asked for its options and languages without.
"""

from ocrqueue_worker.engines.vision.engine import VisionEngine
from ocrqueue_worker.engines.vision.options import VisionOptions

__all__ = ["VisionEngine", "VisionOptions"]
