// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox

package drift

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestANodePromisesWhatTheInventoryGivesItsMachine(t *testing.T) {
	l := newLab(t)
	out := l.On(t, "pi1", "k3s", "kubectl", "get", "nodes",
		"--output", `jsonpath={range .items[*]}{.metadata.name} {.status.capacity.cpu} {.status.capacity.memory}{"\n"}{end}`)
	for _, node := range strings.Fields(strings.ReplaceAll(out, " ", "_")) {
		assert.Regexp(t, `^pi[123]_2_(4Gi|4194304Ki)$`, node)
	}
	for _, node := range []string{"pi1", "pi2", "pi3"} {
		assert.Equal(t, "2\n", l.On(t, node, "nproc"))
		assert.Contains(t, l.On(t, node, "cat", "/proc/meminfo"), "MemTotal:        4194304 kB\n")
	}
}
