# SPDX-License-Identifier: GPL-3.0-or-later
#
# The proof that the embedded Kubernetes loses nothing. Included by the Makefile, which gives GO.

.PHONY: test-embedded
test-embedded: setup engine embedded ## kill -9, stops and power cuts of the cluster
	tools/once.sh $(CACHE) test-embedded $(SANDBOX_SOURCES) tests/embedded -- \
		$(GO) test -tags engine -count=1 -timeout 15m -v ./tests/embedded/
