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

var update = flag.Bool("update", false, "write docs/ways-in.md anew")

// The table is made from the scripts, and the scripts are held to what they declare by the test in the namespace.
func TestTheTableOfWaysIsTheScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/ways/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(names), 180)
	honest, err := filepath.Glob("testdata/honest/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(honest), 40)

	var rows strings.Builder
	onlyFence, open := 0, 0
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
		mark := func(fence string) string {
			if slices.Contains(held, fence) {
				return "holds"
			}
			return "–"
		}
		mac := "held"
		switch {
		case slices.Equal(held, []string{"nothing"}):
			mac = "**open**"
			open++
		case slices.Equal(held, []string{"fence"}):
			mac = "**open**"
			onlyFence++
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", keys["way"], mark("load"), mark("connection"), mark("fence"), mac)
	}
	page := fmt.Sprintf(`# Ways in, and what holds them

This page is made from the scripts in `+"`tests/guard/testdata/ways`"+` by `+"`go test ./tests/guard -update`"+`. The scripts are
tried for real by `+"`make test-guard`"+`: a real sshd and real servers play production inside a network namespace with no way
out, and every connection and datagram to them is counted. Each way is tried without any guard (it must get through, or it proves nothing),
with each fence alone, and with everything as shipped.

| column | the fence |
| --- | --- |
| load | the inventory source: it looks at the command line, holds every connection of the process, cleans its environment and puts the guard in front on `+"`PATH`"+` |
| connection | the guarded connection alone, with the stand-in for ssh behind it; the inventory source is not loaded |
| fence | `+"`prod-ip-guard fence`"+` around a run with no other guard (Linux only) |
| macOS | whether the way is held where there is no network namespace: that is, by either of the other two. It follows from what they did on Linux; nothing is tried on macOS |

"holds" means that this fence alone let nothing through, and that the run said so: by a refusal of the guard, by what the script
expects in its place (`+"`# says:`"+`), or, of the network fence, by a connection that was held back or had no route. A run that crashed, or that
its time limit ended, let nothing through either; it fails the test. %d ways, of which %d are held by the network fence only, and %d by
nothing here; see [the guard](guard.md#what-it-does-not-hold) for what that means, and for the fences that stand elsewhere
(credentials, and the firewall of the nodes).

| way in | load | connection | fence | macOS |
| --- | --- | --- | --- | --- |
%s`, len(names), onlyFence, open, rows.String())
	const file = "../../docs/ways-in.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(page), 0o644))
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err, "run: go test ./tests/guard -update")
	require.Equal(t, page, string(written), "run: go test ./tests/guard -update")
}
