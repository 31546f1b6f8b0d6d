"""The engines. Each is found by its entry point in the group `ocrqueue.engines`."""
