// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox

package drift

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

// machines returns the sandbox's machines, as the engine has them.
func (l lab) machines(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("docker", "ps", "--all", "--filter", "label=org.arcodange.sandbox="+sandboxtest.Name, "--format", "{{.Names}}").Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func TestAMachineThatLeftTheInventoryStaysUntilItIsToBeRemoved(t *testing.T) {
	l := newLab(t)
	image, err := exec.Command("docker", "inspect", "--format", "{{.Config.Image}}", sandboxtest.Name+"-pi1").Output()
	require.NoError(t, err)
	// The inventory never had it; what is known of it is its label, as of one that left.
	arguments := fmt.Sprintf("name=pi9 sandbox=%[1]s image=%[2]s address=%[3]s.99 ssh_user=pi network='{\"name\": \"%[1]s\", \"subnet\": \"%[4]s\"}'",
		sandboxtest.Name, strings.TrimSpace(string(image)), sandboxtest.Subnet[:strings.LastIndexByte(sandboxtest.Subnet, '.')], sandboxtest.Subnet)
	command := exec.Command("ansible", "-i", sandboxtest.Inventory, "localhost", "-m", "arcodange.sandbox.sandbox_vm", "-a", arguments)
	command.Dir = l.Root
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	l.do(t, drift{where: "pi1", shell: `echo '{"apiVersion":"v1","kind":"Node","metadata":{"name":"pi9"}}' | kubectl apply --filename -`})

	const machines = "playbooks/machines.yml"
	told := l.play(t, machines)
	assert.Empty(t, told.failed)
	assert.Contains(t, told.messages, "pi9: in sandbox "+sandboxtest.Name+" and not in the inventory; to drain and remove them, run with -e sandbox_nodes_remove=true")
	assert.Contains(t, l.machines(t), sandboxtest.Name+"-pi9")

	foretold := l.play(t, machines, "--check", "-e", "sandbox_nodes_remove=true")
	assert.Empty(t, foretold.failed)
	assert.Contains(t, foretold.changed, "sandbox_nodes : Remove the machines and their disks")
	assert.Contains(t, l.machines(t), sandboxtest.Name+"-pi9")

	removed := l.play(t, machines, "-e", "sandbox_nodes_remove=true")
	assert.Empty(t, removed.failed)
	assert.NotContains(t, l.machines(t), sandboxtest.Name+"-pi9")
	assert.Empty(t, l.play(t, machines, "-e", "sandbox_nodes_remove=true").changed)
}
