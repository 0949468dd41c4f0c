# SPDX-License-Identifier: GPL-3.0-or-later
#
# The proof that the embedded Kubernetes loses nothing. Included by the Makefile, which gives GO.

.PHONY: test-embedded
test-embedded: setup engine embedded kubectl ## real clients on the cluster, then kill -9, stops and power cuts
	@tools/packages.sh jq:jq openssl:openssl curl:curl
	export SANDBOX_KUBECTL=$(KUBECTL)
	tools/once.sh $(CACHE) test-embedded $(SANDBOX_SOURCES) tests/embedded -- \
		$(GO) test -tags engine -count=1 -timeout 20m -parallel 6 -v ./tests/embedded/
