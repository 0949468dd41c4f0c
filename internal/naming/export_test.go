// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write tofu/naming/systems.json anew")

func TestTheOpenTofuModuleHasTheShippedTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "tofu", "naming", "systems.json")
	want, err := shippedTable(t).Export()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(path, want, 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(have), "run: go test ./internal/naming -run OpenTofu -update")
}

func TestPatternsOfTheExportTakeWhatTheRulesTake(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	const alphabet = "ab09._-/A~"
	for _, s := range shippedTable(t).systems {
		pattern := regexp.MustCompile(s.rule.pattern())
		bare := *s.rule
		bare.Reserved, bare.ReservedPrefixes, bare.PartMaxBytes = nil, nil, 0
		for range 2000 {
			part := make([]byte, r.IntN(6))
			for i := range part {
				part[i] = alphabet[r.IntN(len(alphabet))]
			}
			require.Equal(t, bare.checkPart(string(part)) == nil, pattern.Match(part), "%s %q %s", s.rule.name, part, pattern)
		}
	}
}
