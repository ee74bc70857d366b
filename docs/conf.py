"""How Sphinx makes HTML of this folder (`make docs`, into `site/`): pages in Markdown, reference from docstrings."""

import pyconv

project = "pyconv"
author = copyright = "the pyconv authors"
version = release = pyconv.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = f"pyconv {version}"
html_copy_source = False
exclude_patterns = ["_build"]
