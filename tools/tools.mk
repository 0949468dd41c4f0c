# SPDX-License-Identifier: GPL-3.0-or-later
#
# Programs that tests and checks need, each built from its own pinned module
# under tools/ and kept by content under $(CACHE)/tools.

TOFU = $(shell GO=$(GO) tools/tool.sh $(CACHE) tofu)
HELM = $(shell GO=$(GO) tools/tool.sh $(CACHE) helm)

.PHONY: tofu helm
tofu: packages ## build OpenTofu from its pinned Go module (minutes the first time)
	@GO=$(GO) tools/tool.sh $(CACHE) tofu

helm: packages ## build Helm from its pinned Go module
	@GO=$(GO) tools/tool.sh $(CACHE) helm

.PHONY: test-naming
test-naming: tofu helm ## the rule of names in OpenTofu and Helm, proved with the real programs
	SANDBOX_TOFU=$(TOFU) SANDBOX_HELM=$(HELM) $(GO) test -tags tofu -count=1 -timeout 20m ./tests/naming/...

.PHONY: test-tofuplan
test-tofuplan: setup tofu ## the plan gate over plans of the real OpenTofu, each with one defect, and over honest ones
	SANDBOX_TOFU=$(TOFU) $(GO) test -tags tofu -count=1 -timeout 20m ./tests/tofuplan/...
	SANDBOX_TOFU=$(TOFU) ANSIBLE_PYTHON=$(VENV)/bin/python $(GO) test -tags 'ansible tofu' -count=1 -run '^TestPlans' ./tests/gates
