"""How the site is built: `make docs`.

The source folder is the repository's, so that links between README.md, docs/ and benchmarks/ are the same here and
where the files are read as plain Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llmxrec import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "LLMXRec"
release = __version__
root_doc = "docs/index"
extensions = ["myst_parser", "sphinx.ext.autodoc", "from_code"]
include_patterns = ["*.md", *(f"{folder}/**.md" for folder in ("docs", "examples", "benchmarks", "training"))]
include_patterns += ["src/llmxrec/*/annotations/*.md"]
exclude_patterns = [".*", "**/.*", "docs/_build", "docs/_templates", "data", "dist", "workspaces", "demo-workspace"]
html_theme = "furo"
html_title = "LLMXRec"
html_copy_source = False
html_show_copyright = False
templates_path = ["_templates"]
html_additional_pages = {"index": "to_docs.html"}

# Examples of JSON leave things out: {...}.
suppress_warnings = ["misc.highlighting_failure"]
# An option stays "--name", and quotation marks stay what can be pasted.
smartquotes = False

# Slugs of headings, as code hosts make them.
myst_heading_anchors = 4

# Docstrings are plain text with names in single backticks: see from_code.py.
default_role = "code"
autodoc_member_order = "bysource"
add_module_names = False
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
# Annotations name aliases and types of other libraries. What our own words name is checked: see from_code.py.
nitpick_ignore_regex = [("py:.*", ".*")]

linkcheck_timeout = 20
linkcheck_anchors_ignore_for_url = ["https://github.com/.*"]
