"""The engine interface as checks: for authors of engines of their own, who learn what is wrong before a worker does.

`ocrqueue-worker engine check NAME` runs them, and so does the pytest plugin, which pytest imports in every run: nothing
heavy is imported here.
"""
