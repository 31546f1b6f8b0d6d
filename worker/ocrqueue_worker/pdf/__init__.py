"""Untrusted PDFs to pages, by PDFium: rendered, or the scan that a page is, or the text that it holds already.

PDFium runs in a process of its own, which has a time and a memory limit and is lost without harm: `child` and what it
imports run there, and know nothing of ocrqueue; `process` and `document` are the worker's side.
"""
