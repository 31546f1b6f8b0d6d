"""What operators ask of an installation: who works, what waits, what failed; pauses, and actions on many jobs."""
