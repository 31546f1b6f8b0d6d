"""python -m tests.benchmarks NAME: see --help"""

from __future__ import annotations

import signal
import sys

import click

from tests.benchmarks.accuracy import accuracy
from tests.benchmarks.calibration import calibration
from tests.benchmarks.clouds import clouds
from tests.benchmarks.documents import documents
from tests.benchmarks.fallback import fallback
from tests.benchmarks.gateway import gateway
from tests.benchmarks.jobs import jobs
from tests.benchmarks.keras import keras
from tests.benchmarks.many import many
from tests.benchmarks.moves import moves
from tests.benchmarks.neighbours import neighbours
from tests.benchmarks.pictures import pictures
from tests.benchmarks.prepared import prepared
from tests.benchmarks.queue import queue
from tests.benchmarks.rapid import rapid
from tests.benchmarks.reading import reading
from tests.benchmarks.scale import scale
from tests.benchmarks.scanned import scanned
from tests.benchmarks.spread import spread
from tests.benchmarks.tesseract import tesseract


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Benchmarks. Rates are compared with those of a peer in the same run; nothing here passes or fails."""


main.add_command(tesseract)
main.add_command(jobs)
main.add_command(accuracy)
main.add_command(calibration)
main.add_command(keras)
main.add_command(rapid)
main.add_command(fallback)
main.add_command(scale)
main.add_command(queue)
main.add_command(many)
main.add_command(moves)
main.add_command(neighbours)
main.add_command(pictures)
main.add_command(prepared)
main.add_command(gateway)
main.add_command(documents)
main.add_command(clouds)
main.add_command(reading)
main.add_command(scanned)
main.add_command(spread)

if __name__ == "__main__":
    # a benchmark that is stopped stops its servers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(prog_name="python -m tests.benchmarks")
