"""The clouds' own clients, unmodified, against a gateway."""
