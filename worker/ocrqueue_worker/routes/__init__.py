"""Jobs that more than one engine reads: what one is not sure of goes on to the next, or all of them are compared."""
