# SPDX-License-Identifier: GPL-3.0-or-later
#
# Two commands are enough on a fresh machine: `make sandbox` and `make test`.
# Whatever they need they install or build, once, and keep by content under
# $(CACHE); `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.ONESHELL:
.DEFAULT_GOAL := help

XDG_CACHE_HOME ?= $(HOME)/.cache
CACHE := $(XDG_CACHE_HOME)/arcodange-sandbox
ROOT := $(CURDIR)
VENV := $(CACHE)/venv/$(shell cat requirements/ansible.txt requirements/dev.txt | (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-12)
VENV_OLDEST := $(CACHE)/venv/$(shell cat requirements/ansible-oldest.txt | (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-12)
GO = $(shell tools/go.sh)
ARCH := $(shell uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(ROOT)/ansible.cfg
# Ansible refuses to start outside a UTF-8 locale, and a bare CI job has none.
ifeq ($(filter %UTF-8 %utf8 %utf-8,$(or $(LC_ALL),$(LC_CTYPE),$(LANG))),)
export LC_ALL := C.UTF-8
endif
# Molecule and ansible-lint look the collection up where ansible.cfg says.
COLLECTIONS := .ansible/collections/ansible_collections/arcodange

include collection/collection.mk
include tools/tools.mk
include embedded/embedded.mk

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## --- what the rest needs

.PHONY: packages engine venv setup
packages:
	@tools/packages.sh

engine: packages ## see to it that a Docker engine answers
	@tools/engine.sh

venv: $(VENV)/.done
$(VENV)/.done: | packages
	@echo "setup: Python environment with Ansible in $(VENV)"
	python=$$(tools/python.sh $(CACHE))
	rm -rf $(VENV) && "$$python" -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	touch $@

$(VENV_OLDEST)/.done: | packages
	@echo "setup: Python environment with the oldest supported Ansible in $(VENV_OLDEST)"
	python=$$(tools/python.sh $(CACHE))
	rm -rf $(VENV_OLDEST) && "$$python" -m venv $(VENV_OLDEST)
	$(VENV_OLDEST)/bin/pip install --quiet --disable-pip-version-check -r requirements/ansible-oldest.txt
	touch $@

# A checkout is used in place: its own directory under the name of the collection.
$(COLLECTIONS)/sandbox:
	@mkdir -p $(COLLECTIONS) && ln -sfn ../../../.. $@

VENV_DOCS := $(CACHE)/venv/$(shell cat requirements/docs.txt | (sha256sum 2>/dev/null || shasum -a 256) | cut -c1-12)
$(VENV_DOCS)/.done: | packages
	@echo "setup: Python environment for the documentation in $(VENV_DOCS)"
	python=$$(tools/python.sh $(CACHE))
	rm -rf $(VENV_DOCS) && "$$python" -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	touch $@

setup: packages venv build $(COLLECTIONS)/sandbox ## install and build what the playbooks need

.PHONY: generate
generate: ## write the modules' options from their documentation
	$(GO) generate ./tools/argspec

# As build.sh has them, so that checks and build share what is compiled.
EMBEDDED_ENV = CGO_ENABLED=1 CGO_CFLAGS="-O2 -DSQLITE_ENABLE_DBSTAT_VTAB=1" \
	GOFLAGS="-mod=readonly -trimpath -buildvcs=false -tags=netgo,osusergo,sqlite_omit_load_extension"

.PHONY: embedded
embedded: packages ## build the embedded Kubernetes (minutes the first time, nothing after)
	@GO=$(GO) embedded/build.sh $(CACHE)/embedded $(ARCH)

## --- the main job

.PHONY: sandbox destroy
sandbox: setup engine embedded ## bring the sandbox up
	ansible-playbook -i inventory/sandbox site.yml

destroy: setup engine ## take the sandbox down
	ansible-playbook -i inventory/sandbox destroy.yml

## --- checks

# Every target that takes minutes runs by content: see tools/once.sh.
.PHONY: test lint unit test-engine test-sandbox test-prove test-drift test-parity test-capture test-guard test-evidence-page molecule smoke-oldest acceptance
test: setup engine embedded lint unit collection-install-test reproducible collection-check collection-sanity test-engine test-sandbox test-capture test-naming test-tofuplan test-guard test-evidence-page molecule smoke-oldest docs ## every test of the project
	@echo "make test: all green"

lint: setup golangci-lint ## formatting, static checks, ansible-lint, yamllint, shellcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags engine,ansible,apiserver,tofu,netns,chromium,sandbox,acceptance ./...
	PATH=$$(dirname $(GO)):$$PATH $(GOLANGCI_LINT) run ./...
	$(GO) tool staticcheck -tags engine,ansible,apiserver,tofu,netns,chromium,sandbox,acceptance ./...
	$(EMBEDDED_ENV) $(GO) vet -C embedded ./...
	shellcheck $$(git ls-files '*.sh') .ci/run promotion/pre-push
	tools/words.sh
	git ls-files | grep -v '^embedded/\|go\.mod$$\|go\.sum$$\|testdata\|LICENSE' | xargs codespell
	yamllint --strict .
	ansible-lint --profile production --strict --offline

unit: setup ## unit tests of Go (with the race detector) and Python
	$(GO) test -race -timeout 30m ./...
	ANSIBLE_PYTHON=$(VENV)/bin/python $(GO) test -tags ansible -timeout 30m ./tests/...
	GO=$(GO) tools/once.sh $(CACHE) test-plugins cmd internal modules plugins tests/plugins docs/schema go.mod requirements -- \
		$(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/plugins
	$(EMBEDDED_ENV) $(GO) test -C embedded ./...

test-engine: setup engine ## tests that need the Docker engine
	tools/once.sh $(CACHE) test-engine internal go.mod -- \
		$(GO) test -tags engine -count=1 -timeout 20m ./internal/driver/... ./internal/image/... ./internal/evidence

# One sandbox for all suites that need a whole one; see tests/sandboxtest.
SUITE := -i tests/sandboxtest/inventory -e sandbox_name=suite -e sandbox_subnet=172.30.31.0/24
test-sandbox: setup engine embedded ## the suites that need a whole sandbox, on one that they share
	@trap 'ansible-playbook $(SUITE) destroy.yml' EXIT
	SANDBOX_KEEP=1 $(MAKE) test-embedded test-prove test-drift test-parity

# What a run of the whole sandbox works with.
SANDBOX_SOURCES := cmd internal modules plugins roles playbooks inventory embedded ansible.cfg go.mod requirements tests/sandboxtest

test-drift: setup engine embedded ## changes by hand, each found by check mode and repaired
	tools/once.sh $(CACHE) test-drift $(SANDBOX_SOURCES) tests/drift -- \
		$(GO) test -tags sandbox -count=1 -timeout 30m -v ./tests/drift

test-parity: setup engine embedded ## drifts of the cluster from production, each found by the parity gate
	tools/once.sh $(CACHE) test-parity $(SANDBOX_SOURCES) tests/parity -- \
		$(GO) test -tags sandbox -count=1 -timeout 30m -v ./tests/parity

# Hours; its last result stands in docs/acceptance.md.
acceptance: setup engine embedded kubectl helm registry ## what is exhaustive: every change by hand, one at a time and together
	@trap 'ansible-playbook $(SUITE) destroy.yml' EXIT
	SANDBOX_KEEP=1 tools/once.sh $(CACHE) acceptance $(SANDBOX_SOURCES) tests/drift -- \
		$(GO) test -tags sandbox,acceptance -count=1 -timeout 8h -v ./tests/drift
	tools/packages.sh jq:jq openssl:openssl curl:curl
	export SANDBOX_KUBECTL=$(KUBECTL) SANDBOX_HELM=$(HELM) SANDBOX_REGISTRY=$(REGISTRY)
	export SANDBOX_EMBEDDED=$$(GO=$(GO) embedded/build.sh --print-dir $(CACHE)/embedded $(ARCH))
	SANDBOX_KEEP=1 tools/once.sh $(CACHE) acceptance-embedded $(SANDBOX_SOURCES) tests/embedded -- \
		$(GO) test -tags engine,acceptance -count=1 -timeout 60m -parallel 6 -v ./tests/embedded

test-capture: packages embedded ## kubeconfigs that could write, against a real API server
	SANDBOX_K3S=$$(GO=$(GO) embedded/build.sh --print-dir $(CACHE)/embedded $(ARCH))/k3s-linux-$(ARCH) \
		tools/once.sh $(CACHE) test-capture embedded internal modules tests/capture go.mod -- \
		$(GO) test -tags apiserver -count=1 -timeout 10m ./tests/capture

test-guard: setup tofu ## every known way to production, and honest uses, inside network namespaces (root)
	@tools/packages.sh kubernetes-client:kubectl
	guard=$$(mktemp -d) && trap 'rm -rf "$$guard"' EXIT
	xz -dc plugins/bin/controller_$(GOOS_HERE)_$(ARCH).xz >"$$guard/prod-ip-guard" && chmod 755 "$$guard/prod-ip-guard"
	for name in ssh scp sftp; do ln -s prod-ip-guard "$$guard/$$name"; done
	SANDBOX_TOFU=$(TOFU) GUARD_BINARY="$$guard/prod-ip-guard" tools/once.sh $(CACHE) test-guard cmd internal modules plugins roles tests/guard playbooks inventory go.mod requirements -- \
		$(GO) test -tags netns -count=1 -timeout 60m ./tests/guard

test-evidence-page: packages ## the page of the evidence in a browser
	@tools/packages.sh chromium:chromium
	tools/once.sh $(CACHE) test-evidence-page internal/evidence go.mod requirements -- \
		$(GO) test -tags chromium -count=1 -timeout 10m ./internal/evidence/page

test-prove: setup engine embedded ## the idempotence gate, by what really changed
	@tools/packages.sh kubernetes-client:kubectl
	tools/once.sh $(CACHE) test-prove $(SANDBOX_SOURCES) tests/prove -- \
		$(GO) test -tags engine -count=1 -timeout 30m -v ./tests/prove/

molecule: setup engine embedded molecule-machine ## the Molecule scenarios
	@trap 'molecule destroy --scenario-name default' EXIT
	tools/once.sh $(CACHE) molecule $(SANDBOX_SOURCES) molecule/default molecule/names -- bash -euc '
		molecule test --scenario-name default --destroy never
		# Names meet the PostgreSQL of the sandbox that still stands.
		NAMES_LOGIN_HOST=172.30.9.12 \
			NAMES_LOGIN_PASSWORD=$$(cat "$${XDG_STATE_HOME:-$$HOME/.local/state}/arcodange-sandbox/molecule/secrets/postgres-password") \
			molecule test --scenario-name names'

# Well-known roles of other people, that run on a machine of the sandbox.
ROLES := $(CACHE)/roles/$(shell (sha256sum 2>/dev/null || shasum -a 256) <requirements/roles.txt | cut -c1-12)
$(ROLES)/.done: | venv
	rm -rf $(ROLES)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --target $(ROLES) -r requirements/roles.txt
	touch $@

.PHONY: molecule-machine
molecule-machine: setup engine $(ROLES)/.done
	@export MACHINE_ROLES=$(ROLES)/debops/_data/ansible/collections
	tools/once.sh $(CACHE) molecule-machine cmd internal modules plugins roles/sandbox_nodes playbooks inventory ansible.cfg go.mod requirements molecule/machine -- \
		molecule test --scenario-name machine

smoke-oldest: setup engine embedded $(VENV_OLDEST)/.done ## a short play on the oldest supported ansible-core
	@tools/once.sh $(CACHE) smoke-oldest $(SANDBOX_SOURCES) tests/smoke -- tests/smoke/oldest.sh $(VENV_OLDEST) $(VENV)

.PHONY: bench
bench: setup engine embedded ## measure what the README promises
	@tests/bench/bench.sh

.PHONY: docs
docs: setup $(VENV_DOCS)/.done ## build the documentation site in build/docs/html, and check its links
	@tools/docs.sh $(VENV_DOCS)

.PHONY: clean
clean: ## remove what was built in the checkout (the cache stays: rm -r $(CACHE))
	rm -rf build .ansible plugins/bin plugins/modules/__*
