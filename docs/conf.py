"""How `./run docs` builds the documentation: Sphinx, Markdown by MyST, the API reference from the docstrings."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "ocrqueue"
version = release = version_of("ocrqueue")
copyright = "the ocrqueue authors"  # noqa: A001  # Sphinx's name for it
html_theme = "furo"
html_title = f"ocrqueue {release}"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["generate.py"]
html_show_sourcelink = False

# a heading's anchor as GitHub makes it, so that one link serves both
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
