// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write docs/bypass-attempts.md anew")

// The test in the namespace checks what the scripts declare.
func TestTheTableOfAttemptsIsTheScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/bypass/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(names), 180)
	honest, err := filepath.Glob("testdata/honest/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(honest), 40)

	var rows strings.Builder
	onlyNetns, open := 0, 0
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		require.NoError(t, err)
		keys := map[string]string{}
		for line := range strings.Lines(string(archive.Comment)) {
			if key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": "); ok && strings.HasPrefix(line, "# ") {
				keys[key] = value
			}
		}
		held := strings.Fields(keys["held by"])
		mark := func(layer string) string {
			if slices.Contains(held, layer) {
				return "holds"
			}
			return "–"
		}
		mac := "held"
		switch {
		case slices.Equal(held, []string{"nothing"}):
			mac = "**open**"
			open++
		case slices.Equal(held, []string{"netns"}):
			mac = "**open**"
			onlyNetns++
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", keys["attempt"], mark("load"), mark("connection"), mark("netns"), mac)
	}
	page := fmt.Sprintf(`# Bypass attempts

This page is generated from the scripts in `+"`tests/guard/testdata/bypass`"+` by `+"`go test ./tests/guard -update`"+`.
`+"`make test-guard`"+` runs them: a real sshd and real servers play production inside a network namespace with no way
out, and every connection and datagram to them is counted. Each attempt is made without any guard (it must succeed, or it proves nothing),
with each layer alone, and with everything as shipped.

| column | layer |
| --- | --- |
| load | the inventory source: it checks the command line, replaces connection plugins, cleans the environment and puts the guard first in `+"`PATH`"+` |
| connection | the guarded connection alone, with the ssh wrapper; the inventory source is not loaded |
| netns | `+"`prod-ip-guard netns`"+` around a run with no other guard (Linux only) |
| macOS | whether the attempt is held where there is no network namespace, that is, by either of the other two. It follows from what they did on Linux; nothing is tried on macOS |

"holds" means that this layer alone let nothing through, and that the output says so: by a refusal of the guard, by what the script
expects instead (`+"`# says:`"+`), or, for netns, by a blocked connection or a missing route. A run that crashed or timed out let
nothing through either; it fails the test. %d attempts, of which %d are held by netns only, and %d by nothing here; see
[the guard](guard.md#what-it-does-not-block) for what that means, and for the layers elsewhere (credentials, and the firewall of the nodes).

| attempt | load | connection | netns | macOS |
| --- | --- | --- | --- | --- |
%s`, len(names), onlyNetns, open, rows.String())
	const file = "../../docs/bypass-attempts.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(page), 0o644))
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err, "run: go test ./tests/guard -update")
	require.Equal(t, page, string(written), "run: go test ./tests/guard -update")
}
