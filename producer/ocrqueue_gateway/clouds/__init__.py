"""The protocols of the big clouds' text recognition: their own clients, unmodified, ask this system."""
