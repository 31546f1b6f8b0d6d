"""`python -m ocrqueue_gateway` is the command `ocrqueue-gateway`."""

from __future__ import annotations

from ocrqueue_gateway.program import main

main()
