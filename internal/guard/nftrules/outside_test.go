// SPDX-License-Identifier: GPL-3.0-or-later

package nftrules

import (
	"context"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

func TestTheRulesOutsideAreTheGoldenFile(t *testing.T) {
	t.Parallel()
	manifest, err := boundary.Parse("boundary.yml", []byte(`
production: {addresses: [192.0.2.1-192.0.2.3, "2001:db8::/64"]}
sandbox:
  addresses: [172.30.0.0/24]
  outside: [mirror.test:80, "198.51.100.7:443", "[2001:db8:1::7]:443", "203.0.113.0/24:123", gone.test:80]
`))
	require.NoError(t, err)
	lookup := func(_ context.Context, name string) []netip.Addr {
		return map[string][]netip.Addr{"mirror.test": {netip.MustParseAddr("198.51.100.8"), netip.MustParseAddr("2001:db8:1::8")}}[name]
	}
	rules := Outside(t.Context(), manifest, Network{Table: "arcodange_sandbox_x", Bridge: "br-0123456789ab"}, lookup)
	const golden = "testdata/outside.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(rules), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), rules, "run: go test ./internal/guard/nftrules -update")
	accepted(t, node{Rules: rules})
	assert.Equal(t, "198.51.100.8 mirror.test\n2001:db8:1::8 mirror.test\n", outsideHosts(OutsideNames(t.Context(), manifest, lookup)))
}
