"""Train both models at once, each on one core, then make a model directory of them: FOLDER/small."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_PARTS: Final = ("detector", "recognizer")


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run train", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for weights and curves")
    parser.add_argument("--part", choices=[*_PARTS, "package"], help="do this step only, in this process")
    parser.add_argument("--share", type=float, default=1.0, help="of the training that the model that ships had")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.part:
        _do(arguments.part, arguments.output, arguments.share)
        return 0
    command = [sys.executable, "-m", "training.small", "--output", str(arguments.output)]
    command += ["--share", str(arguments.share)]
    parts = [subprocess.Popen([*command, "--part", part]) for part in _PARTS]
    codes = [part.wait() for part in parts]
    if any(codes):
        return 1
    return subprocess.run([*command, "--part", "package"], check=False).returncode


def _do(part: str, output: Path, share: float) -> None:
    # before TensorFlow is imported: keras-ocr needs Keras 2, and one thread adds up in one order
    os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="2", OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    import cv2
    import tensorflow as tf

    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from training.small import detector, packing, recognizer

    if part == "package":
        packing.pack(output, output / "small")
    else:
        {"detector": detector, "recognizer": recognizer}[part].train(output, share)


if __name__ == "__main__":
    raise SystemExit(main())
