"""How a client hears of its jobs: one subscription to Redis for all of its waits, blocking or for asyncio."""
