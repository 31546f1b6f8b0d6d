"""The engines, a folder each: `engine` is what they have in common, and `checking` mistrusts what they return.

`loading` finds an engine by its entry point in the group `ocrqueue.engines`, as those of other packages.
"""
