# SPDX-License-Identifier: GPL-3.0-or-later
#
# Programs that tests and checks need, each built from its own pinned module
# under tools/ and kept by content under $(CACHE)/tools.

TOFU = $(shell GO=$(GO) tools/tool.sh $(CACHE) tofu)
TERRAFORM = $(shell GO=$(GO) tools/tool.sh $(CACHE) terraform)
HELM = $(shell GO=$(GO) tools/tool.sh $(CACHE) helm)
KUBECTL = $(shell GO=$(GO) tools/tool.sh $(CACHE) kubectl)
REGISTRY = $(shell GO=$(GO) tools/tool.sh $(CACHE) registry)
GOLANGCI_LINT = $(shell GO=$(GO) tools/tool.sh $(CACHE) golangci-lint)

.PHONY: tofu terraform helm kubectl registry golangci-lint
tofu: packages ## build OpenTofu from its pinned Go module (minutes the first time)
	@GO=$(GO) tools/tool.sh $(CACHE) tofu

terraform: packages ## build Terraform from its pinned Go module, for tests only
	@GO=$(GO) tools/tool.sh $(CACHE) terraform

helm: packages ## build Helm from its pinned Go module
	@GO=$(GO) tools/tool.sh $(CACHE) helm

kubectl: packages ## build kubectl of another minor version than the embedded Kubernetes
	@GO=$(GO) tools/tool.sh $(CACHE) kubectl

registry: packages ## build a registry of images for tests
	@GO=$(GO) tools/tool.sh $(CACHE) registry

golangci-lint: packages ## build golangci-lint from its pinned Go module
	@GO=$(GO) tools/tool.sh $(CACHE) golangci-lint

.PHONY: test-naming
test-naming: tofu helm ## the rule of names in OpenTofu and Helm, proved with the real programs
	SANDBOX_TOFU=$(TOFU) SANDBOX_HELM=$(HELM) $(GO) test -tags tofu -count=1 -timeout 20m ./tests/naming/...

.PHONY: test-tofuplan
test-tofuplan: setup tofu terraform ## the plan gate over plans of the real programs, each with one defect, and over honest ones
	SANDBOX_TOFU=$(TOFU) SANDBOX_TERRAFORM=$(TERRAFORM) $(GO) test -tags tofu -count=1 -timeout 20m ./tests/tofuplan/...
	SANDBOX_TOFU=$(TOFU) ANSIBLE_PYTHON=$(VENV)/bin/python $(GO) test -tags 'ansible tofu' -count=1 -run '^TestPlans' ./tests/gates
