"""Who asks, and what they may: keys, their scopes, and whose the jobs are."""
