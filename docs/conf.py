"""Sphinx configuration. What is said about the code is written by `_ext/facts.py` from the code."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "efi-shim"
version = release = metadata.version("efi-shim")
copyright = "the efi-shim contributors"
language = "en"

extensions = ["myst_parser", "facts", "commands"]
exclude_patterns = ["_build", "_generated", "_ext"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"efi-shim {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
# The pages are read offline too: nothing is loaded from elsewhere.
html_theme_options = {"navigation_with_keys": True}
