// SPDX-License-Identifier: GPL-3.0-or-later

//go:build netns

package guard

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The rules of the role node_fence, in a network namespace, reject every query for a name of production.
func TestNodesAskForNoNameOfProduction(t *testing.T) {
	if !mine("nodes ask for no name of production") {
		return
	}
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.nft")
	manifest := filepath.Join(dir, "boundary.yml")
	require.NoError(t, os.WriteFile(manifest, []byte(`production:
  addresses: [192.168.1.201-192.168.1.203, "fd99::201"]
  names: [pi1.home, "*.lab.example", "*.a-very-long-label-that-is-long.example", "od*d.example"]
  vault: [{address: "https://vault.of-its-own.example:8200"}]
  dns_zones: [{name: zone.example}]
sandbox:
  addresses: [172.30.0.0/24]
`), 0o600))
	out, err := exec.CommandContext(t.Context(), ground.guard, "nft-rules", "--boundary", manifest).Output()
	require.NoError(t, err)
	var node struct{ Rules string }
	require.NoError(t, json.Unmarshal(out, &node))
	require.NoError(t, os.WriteFile(rules, []byte(node.Rules), 0o600))

	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + ".d.lab.example"
	held := map[string]bool{
		"pi1.home": true, "PI1.Home": true, "a.pi1.home": false, "pi1.home.example": false,
		"x.lab.example": true, "X.lAb.EXAMPLE": true, "a.b.c-d_e.lab.example": true, "9.lab.example": true, long: true, "lab.example": false, "xlab.example": false, "lab.example.test": false,
		"y.a-very-long-label-that-is-long.example": true, "a-very-long-label-that-is-long.example": false, "z.example": false,
		"vault.of-its-own.example": true, "of-its-own.example": false, "zone.example": true, "a.zone.example": true, "azone.example": false, "example": false,
	}
	names := make([]string, 0, len(held))
	for name := range held {
		names = append(names, name)
	}
	input, err := json.Marshal(names)
	require.NoError(t, err)
	ask := func(prepare string) map[string][2]bool {
		cmd := exec.CommandContext(t.Context(), "unshare", "-n", "bash", "-euc", "ip link set lo up; "+prepare+" exec "+ground.python+" testdata/names.py")
		cmd.Stdin, cmd.Stderr = strings.NewReader(string(input)), os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		answers := map[string][2]bool{}
		require.NoError(t, json.Unmarshal(out, &answers))
		return answers
	}
	for name, answered := range ask("") {
		assert.Equal(t, [2]bool{true, true}, answered, "without the rules: %s", name)
	}
	for name, answered := range ask("nft -f " + rules + "; nft -f " + rules + ";") {
		assert.Equal(t, [2]bool{!held[name], !held[name]}, answered, name)
	}
}
