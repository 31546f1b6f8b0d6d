"""Jobs over HTTP: submitted, watched, read, cancelled, deleted and listed."""
