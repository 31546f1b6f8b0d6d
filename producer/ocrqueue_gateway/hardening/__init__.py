"""What stands before every route, as plain ASGI: limits on bodies and time, and headers that browsers go by."""
