"""Pictures of pages, as browsers look at them: cut into tiles of every size, and small ones for the strip of pages.

Files are hostile and pictures large. They are opened by a process of their own, within limits of memory and time; what
it makes stands on disk for a while, and requests read from there.
"""
