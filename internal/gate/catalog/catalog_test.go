// SPDX-License-Identifier: GPL-3.0-or-later

package catalog

import (
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/rules.md")

func TestTheTableOfRulesIsCurrent(t *testing.T) {
	t.Parallel()
	const page = "../../../docs/rules.md"
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(Markdown()), 0o644))
	}
	current, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, Markdown(), string(current), "run go test ./internal/gate/catalog -update")
}

func TestEveryRuleIsDescribedOnce(t *testing.T) {
	t.Parallel()
	for _, g := range Gates() {
		seen := map[string]bool{}
		for _, rule := range g.Rules {
			assert.Regexp(t, regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`), rule.ID)
			assert.Regexp(t, regexp.MustCompile(`^[A-Z].*[^.]$`), rule.Summary, rule.ID)
			assert.False(t, seen[rule.ID], "%s/%s twice", g.Name, rule.ID)
			seen[rule.ID] = true
		}
	}
}
