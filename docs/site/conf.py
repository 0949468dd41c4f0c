# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx configuration of the documentation site; `make docs` stages the sources and runs it."""

project = "arcodange.sandbox"
copyright = "The arcodange.sandbox authors"
extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinxcontrib.mermaid"]
root_doc = "docs/site/index"
include_patterns = [
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md", "docs/site/ansible.rst", "roles/*/README.md", "embedded/README.md",
    "plugins-docs/**.rst",
]
html_theme = "alabaster"
html_theme_options = {"page_width": "75rem", "fixed_sidebar": True}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = False

# The anchors of headings are those of the forges, which links in the sources use.
myst_heading_anchors = 6
myst_fence_as_directive = ["mermaid"]
# Some samples are shortened, so that they are no valid JSON.
suppress_warnings = ["misc.highlighting_failure"]
# Only links within the site are checked: no network.
linkcheck_ignore = [r"https?://"]
