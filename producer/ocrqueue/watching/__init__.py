"""Watching a folder or a bucket's prefix: what arrives there is submitted, once, and moved away when it was read.

Nothing is remembered here: what is under way stays where it lies, and its idempotency key leads whoever looks next to
the same job. So a watcher can be killed at any time.
"""

from ocrqueue.watching.bucket import BucketPlace
from ocrqueue.watching.folder import FolderPlace
from ocrqueue.watching.places import Place
from ocrqueue.watching.watcher import Ended, Watcher

__all__ = ["BucketPlace", "Ended", "FolderPlace", "Place", "Watcher"]
