"""The pages that people use in a browser: to read documents with, and to run an installation with.

HTML comes from `templates`, and what moves from the modules in `static`, which ask the native API with the session's
cookie. `texts` has all words of the interface.
"""
