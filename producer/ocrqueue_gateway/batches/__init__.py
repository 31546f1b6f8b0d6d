"""Many jobs in one request, as JSON Lines: counted together, and their results as one stream."""
