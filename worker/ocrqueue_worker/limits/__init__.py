"""What one job may take: time, memory, disk.

And what a child does so that it keeps no more memory than its jobs need.
"""
