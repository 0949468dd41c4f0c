# SPDX-License-Identifier: GPL-3.0-or-later
#
# The kits and the artifact. Included by the Makefile, which gives GO, VENV and ARCH.

GOOS_HERE := $(shell uname -s | tr A-Z a-z)
KIT_SOURCES := $(shell git ls-files -co --exclude-standard -- cmd internal modules go.mod go.sum collection/build.sh 2>/dev/null)
# A macOS controller has linux nodes of its own architecture, so both are built.
KIT_PLATFORMS := $(sort $(GOOS_HERE)/$(ARCH) linux/$(ARCH))

# What the artifact is made of, and what looks at it.
COLLECTION_SOURCES := cmd internal modules plugins roles playbooks inventory collection meta docs changelogs galaxy.yml go.mod go.sum README.md requirements

.PHONY: build collection collection-install-test collection-check collection-sanity reproducible
build: plugins/bin/SHA256SUMS ## build the modules' binaries into the checkout
plugins/bin/SHA256SUMS: $(KIT_SOURCES) | packages
	@echo "build: the modules' binaries for $(KIT_PLATFORMS)"
	GO=$(GO) collection/build.sh kits $(KIT_PLATFORMS)

collection: venv packages ## build the artifact that ansible-galaxy installs
	@GO=$(GO) collection/build.sh artifact build

collection-install-test: collection ## install the artifact into an empty directory, check it, run from there
	@tools/once.sh $(CACHE) collection-install-test $(COLLECTION_SOURCES) -- collection/install-test.sh build/arcodange-sandbox-*.tar.gz

reproducible: collection ## build the artifact again elsewhere and compare the bytes
	@tools/once.sh $(CACHE) reproducible $(COLLECTION_SOURCES) -- bash -euc '
		GO=$(GO) collection/build.sh artifact build/again >/dev/null
		cmp build/arcodange-sandbox-*.tar.gz build/again/arcodange-sandbox-*.tar.gz
		rm -r build/again
		echo "reproducible: two builds are byte-identical"'

collection-check: collection ## run galaxy-importer on the artifact, as Galaxy does
	@tools/once.sh $(CACHE) collection-check $(COLLECTION_SOURCES) -- collection/check.sh build/arcodange-sandbox-*.tar.gz

collection-sanity: venv packages ## ansible-test sanity
	@tools/once.sh $(CACHE) collection-sanity collection galaxy.yml meta plugins roles playbooks changelogs tests/sanity requirements -- \
		collection/sanity.sh $(CACHE)
