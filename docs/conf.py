# ruff: noqa: INP001 - Sphinx runs this file; it is part of no package
"""How Sphinx makes the documentation: `make docs`. Nothing is looked up on the network."""

from importlib import metadata

project = "Surgetank"
author = "the Surgetank authors"
release = metadata.version("surgetank")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]
needs_sphinx = "8.2"

html_theme = "furo"
html_title = "Surgetank"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

# Tables of reference pages link to the parts below them.
myst_heading_anchors = 3

default_role = "code"  # single quotes of docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

# Every name that we promise is on some page; ours that are inner, and others', are not looked up.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!surgetank\.testing\.[A-Za-z]+$).*")]
