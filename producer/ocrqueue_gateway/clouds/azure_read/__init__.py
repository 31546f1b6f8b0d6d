"""Azure Document Intelligence 4.0, prebuilt-read: analyses as jobs, and Documents as AnalyzeResults."""
