"""Confidences of what engines read, as shares of words that are right: the table that comes with the package, and where
it applies."""

from ocrqueue_worker.calibration.finding import calibration_of, chosen_table, stated_info
from ocrqueue_worker.calibration.pages import calibrated_line, calibrated_page

__all__ = ["calibrated_line", "calibrated_page", "calibration_of", "chosen_table", "stated_info"]
