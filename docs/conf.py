"""How the documentation is built: `nox -s docs`. Nothing is fetched; what the code knows is generated from the code."""

import os
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))  # for docs._generate

with open(os.path.join(HERE, "..", "pyproject.toml"), "rb") as file:
    _project = tomllib.load(file)["project"]

project = "framework"
author = _project["authors"][0]["name"]
copyright = author
version = release = _project["version"]

extensions = ["myst_parser", "docs._generate"]
exclude_patterns = ["_build", "reference/_generated", "changelog/[0-9]*.md"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
smartquotes_action = "qe"  # not "D": it makes a dash of the hyphens of an option, as in the help of commands
nitpicky = True

html_theme = "furo"
html_title = f"framework {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
