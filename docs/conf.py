# ruff: noqa: INP001 - Sphinx runs this file; it is part of no package
"""How Sphinx makes the documentation: `make docs`. Nothing is looked up on the network."""

from importlib.metadata import version

project = "Surgetank"
author = "the Surgetank authors"
release = version("surgetank")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
needs_sphinx = "8.2"

html_theme = "furo"
html_title = "Surgetank"
html_copy_source = False
html_show_sphinx = False

# Tables of reference pages link to the parts below them.
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

# Every name of ours that a page mentions is on some page; others' are not looked up.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!surgetank\.).*")]
# `how-to/*` and the like take in whatever is not listed by name, and may find nothing.
suppress_warnings = ["toc.empty_glob"]
