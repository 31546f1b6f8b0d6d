"""`python -m ocrqueue_worker` is `ocrqueue-worker`."""

from ocrqueue_worker.cli import main

if __name__ == "__main__":
    main()
