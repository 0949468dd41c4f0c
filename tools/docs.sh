#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the documentation site in build/docs/html from the Markdown files and the documentation of
# the plugins. Warnings are errors, and links within the site are checked.
# usage: docs.sh VENV_DOCS; ansible-doc is on PATH and finds the collection
set -euo pipefail

tools=$1/bin
source=build/docs/source
rm -rf build/docs
mkdir -p "$source"
git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
    tar -c --null --files-from=- | tar -x -C "$source"
mkdir "$source/plugins-docs"
"$tools/antsibull-docs" collection --use-current --squash-hierarchy --fail-on-error --no-add-antsibull-docs-version \
    --dest-dir "$source/plugins-docs" arcodange.sandbox
for builder in html linkcheck; do
    "$tools/sphinx-build" --quiet --fail-on-warning --keep-going --conf-dir docs/site -d build/docs/doctrees -b "$builder" "$source" "build/docs/$builder"
done
rm -r "$source" build/docs/doctrees
echo "docs: build/docs/html/docs/site/index.html"
