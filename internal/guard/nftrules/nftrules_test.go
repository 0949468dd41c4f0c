// SPDX-License-Identifier: GPL-3.0-or-later

package nftrules

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

var update = flag.Bool("update", false, "write testdata/*.nft anew")

const sandbox = "sandbox:\n  addresses: [172.30.0.0/24]\n"

// render returns the files for a manifest, and the names that were looked up.
func render(t *testing.T, production string, answers map[string]string, further ...string) (node, []string) {
	t.Helper()
	manifest, err := boundary.Parse("boundary.yml", []byte("production:\n"+production+sandbox))
	require.NoError(t, err)
	var asked []string
	node, err := Render(t.Context(), Request{Manifest: manifest, Further: further, Lookup: func(_ context.Context, name string) []netip.Addr {
		asked = append(asked, name)
		var addresses []netip.Addr
		for text := range strings.FieldsSeq(answers[name]) {
			addresses = append(addresses, netip.MustParseAddr(text))
		}
		return addresses
	}})
	require.NoError(t, err)
	slices.Sort(asked)
	return node, asked
}

// elements returns the addresses in the set of a family.
func elements(node node, family string) []string {
	found := regexp.MustCompile(`(?s)set production_` + family + ` \{.*?elements = \{ (.*?) \}`).FindStringSubmatch(node.Rules)
	if found == nil {
		return nil
	}
	return strings.Split(found[1], ", ")
}

func TestTheRulesAreTheGoldenFiles(t *testing.T) {
	t.Parallel()
	manifests, err := filepath.Glob("testdata/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, manifests)
	for _, file := range manifests {
		manifest, err := boundary.Load(file)
		require.NoError(t, err)
		node, err := Render(t.Context(), Request{Manifest: manifest, Networks: []string{"10.42.0.0/16"}, Lookup: func(_ context.Context, name string) []netip.Addr {
			return map[string][]netip.Addr{"pi1.home": {netip.MustParseAddr("192.0.2.9")}, "db.test": {netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8:1::9")}}[name]
		}})
		require.NoError(t, err)
		text := node.Rules + "# --- /etc/hosts\n" + node.Hosts
		golden := strings.TrimSuffix(file, ".yml") + ".nft"
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(want), text, "run: go test ./internal/guard/nftrules -update")
		accepted(t, node)
	}
}

// accepted has nft check the rules, in a network namespace of its own.
func accepted(t *testing.T, node node) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		t.Log("nft cannot check the rules here: it needs nft and root")
		return
	}
	file := filepath.Join(t.TempDir(), "rules.nft")
	require.NoError(t, os.WriteFile(file, []byte(node.Rules), 0o600))
	out, err := exec.CommandContext(t.Context(), "unshare", "-n", "nft", "--check", "--file", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestANameThatTheControllerBlocksDoesNotCutANodeOffFromItself(t *testing.T) {
	t.Parallel()
	node, _ := render(t, "  names: [a.test]\n", map[string]string{
		"a.test": "0.0.0.0 127.0.0.1 127.0.1.1 ::1 :: ::ffff:127.0.0.1 192.0.2.7 2001:db8::7 10.0.0.1 ::ffff:192.0.2.8 100.127.0.1",
	})
	assert.Equal(t, []string{"10.0.0.1", "100.127.0.1", "192.0.2.7", "192.0.2.8"}, elements(node, "ip"))
	assert.Equal(t, []string{"::ffff:192.0.2.8", "2001:db8::7"}, elements(node, "ip6"))
}

func TestEveryListThatNamesMachinesIsBlocked(t *testing.T) {
	t.Parallel()
	node, asked := render(t, `
  addresses: [192.0.2.1-192.0.2.3, "2001:db8::/64"]
  names: [pi.test, "*.lab.test", trailing.test.]
  kube:
    - server: https://198.51.100.1:6443
    - server: api.test:6443
    - server: https://[2001:db8:1::1]:6443
    - cluster_uid: 11111111-2222-3333-4444-555555555555
  vault:
    - address: https://vault.test:8200/v1
    - address: 198.51.100.2
    - key_files: [~/x]
  databases: [198.51.100.3, "198.51.100.4:5432", "db.test:5432", "[2001:db8:1::2]:5432", "2001:db8:1::3", alone.test, "postgres://198.51.100.5:5433"]
  endpoints: ["203.0.113.7:2201", "127.0.0.1:2222", "127.0.0.0/8:2222", "[::1]:22", "203.0.113.16/28:22", "gateway.test:6443", "localhost:1", "*.forward.test:22"]
  dns_zones: [{name: zone.test}, {id: "1"}]
  git: [forge.test/*]
`, map[string]string{"pi.test": "192.0.2.9", "db.test": "198.51.100.9 2001:db8:1::9", "vault.test": "198.51.100.8"}, "203.0.113.64/26")
	assert.Equal(t, []string{"192.0.2.1-192.0.2.3", "192.0.2.9", "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.8", "203.0.113.64/26"}, elements(node, "ip"))
	assert.Equal(t, []string{"2001:db8::/64", "2001:db8:1::1", "2001:db8:1::3"}, elements(node, "ip6"))
	var ports []string
	for _, match := range regexp.MustCompile(`daddr (\S+) meta l4proto \{ tcp, udp \} th dport (\d+) counter name held drop`).FindAllStringSubmatch(node.Rules, -1) {
		ports = append(ports, match[1]+" "+match[2])
	}
	assert.ElementsMatch(t, []string{
		"198.51.100.4 5432", "198.51.100.9 5432", "2001:db8:1::9 5432", "2001:db8:1::2 5432", "198.51.100.5 5433", "203.0.113.7 2201", "203.0.113.16/28 22",
	}, ports, "a port of a machine that is otherwise free, and never of the node's own loopback")
	assert.Equal(t, []string{"alone.test", "api.test", "db.test", "gateway.test", "pi.test", "trailing.test", "vault.test"}, asked)
	for _, name := range []string{"alone.test", "api.test", "pi.test", "trailing.test", "vault.test", "zone.test", "*.zone.test, behind labels of any length", "*.lab.test, behind labels of any length"} {
		assert.Contains(t, node.Rules, "# "+name+"\n")
	}
	assert.NotContains(t, node.Rules, "forge.test", "a forge may hold the sandbox's repositories too")
	assert.Contains(t, node.Hosts, "0.0.0.0 zone.test\n:: zone.test\n")
	assert.NotContains(t, node.Hosts, "*")
	accepted(t, node)
}

func TestAManifestThatNamesNoMachineStillMakesRules(t *testing.T) {
	t.Parallel()
	node, asked := render(t, "  environment: [X]\n", nil)
	assert.Empty(t, asked)
	assert.Empty(t, elements(node, "ip"))
	assert.NotContains(t, node.Rules, "th dport")
	assert.Empty(t, node.Hosts)
	accepted(t, node)
}

func TestAFurtherAddressHasToBeOne(t *testing.T) {
	t.Parallel()
	_, err := Render(t.Context(), Request{Manifest: &boundary.Manifest{}, Further: []string{"a.test"}})
	assert.ErrorContains(t, err, `"a.test" is not an address`)
}
