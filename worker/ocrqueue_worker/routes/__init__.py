"""Jobs that more than one engine reads: what one is not sure of goes on to the next, or all of them are compared.

`turn` is one engine's part in it, `engine_failure` what happens where that engine cannot do its part.
"""
