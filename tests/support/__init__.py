"""What tests share: servers and processes that they start, pictures that they make, checks that they repeat."""
