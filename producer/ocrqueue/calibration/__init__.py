"""Confidences that mean something: curves from what an engine says to the share of words that are right.

They are fitted to pages whose true text is known, and kept in a table, a JSON file that workers read.
"""

from ocrqueue.calibration.curve import LEAST_WORDS, Curve, Sample, fitted
from ocrqueue.calibration.measuring import BINS, Bin, as_given, as_stated, bins, calibration_error, held_out
from ocrqueue.calibration.table import Calibration, Table, model_name, parse_table, read_table
from ocrqueue.calibration.truth import TrueLine, TruthFormat, labelled, read_truth, true_lines

__all__ = [
    "BINS",
    "LEAST_WORDS",
    "Bin",
    "Calibration",
    "Curve",
    "Sample",
    "Table",
    "TrueLine",
    "TruthFormat",
    "as_given",
    "as_stated",
    "bins",
    "calibration_error",
    "fitted",
    "held_out",
    "labelled",
    "model_name",
    "parse_table",
    "read_table",
    "read_truth",
    "true_lines",
]
