"""`python -m ocrqueue.cli`: the same as `ocrqueue`."""

from ocrqueue.cli import main

if __name__ == "__main__":
    main()
