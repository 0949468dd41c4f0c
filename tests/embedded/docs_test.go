// SPDX-License-Identifier: GPL-3.0-or-later

package embedded

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table of behaviours into docs/kubernetes.md")

const (
	page  = "../../docs/kubernetes.md"
	begin = "<!-- behaviours: written by go test ./tests/embedded -run Documentation -update -->\n"
	end   = "<!-- end of behaviours -->"
)

// table lists the behaviours by area. TestClusterSurvives runs each, so what the page lists holds, and nothing else is listed.
func table() string {
	var text strings.Builder
	text.WriteString("\n| area | what holds |\n| --- | --- |\n")
	for _, b := range behaviours {
		fmt.Fprintf(&text, "| %s | %s |\n", b.area, b.name)
	}
	fmt.Fprintf(&text, "\nThese are %d.\n\n", len(behaviours))
	return text.String()
}

func TestDocumentationListsTheBehavioursThatAreTested(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(data), begin)
	require.True(t, found, "%s has no line %q", page, begin)
	now, after, found := strings.Cut(rest, end)
	require.True(t, found, "%s has no line %q", page, end)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(before+begin+table()+end+after), 0o644))
		return
	}
	assert.Equal(t, table(), now, "run go test ./tests/embedded -run Documentation -update")
	names := map[string]bool{}
	for _, b := range behaviours {
		assert.False(t, names[b.name], "two have the name %q", b.name)
		names[b.name] = true
	}
	assert.GreaterOrEqual(t, len(behaviours), 60)
}
