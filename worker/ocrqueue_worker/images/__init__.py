"""Untrusted bytes to pages: formats told apart, floods refused, EXIF read, pixels brought to what engines read.

Word crops are cut here too.
"""
