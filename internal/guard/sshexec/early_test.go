// SPDX-License-Identifier: GPL-3.0-or-later

package sshexec

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyTheConnectionPluginsOwnCallsAreReadEarly(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		words string
		early bool
	}{
		"as the plugin writes it":        {"/bin/prod-ip-guard ssh --boundary b -- -C h true", true},
		"with everything it may tell":    {"/bin/prod-ip-guard ssh --boundary b --digest " + digest + " --agent a --programs p -- h", true},
		"no manifest":                    {"/bin/prod-ip-guard ssh -- h", false},
		"a flag with its value attached": {"/bin/prod-ip-guard ssh --boundary=b -- h", false},
		"a flag twice":                   {"/bin/prod-ip-guard ssh --boundary a --boundary b -- h", false},
		"an unknown flag":                {"/bin/prod-ip-guard ssh --boundary b --colour red -- h", false},
		"a flag without a value":         {"/bin/prod-ip-guard ssh --boundary", false},
		"a flag for a value":             {"/bin/prod-ip-guard ssh --boundary --digest -- h", false},
		"an empty value":                 {"/bin/prod-ip-guard ssh --boundary  -- h", false},
		"no end of the flags":            {"/bin/prod-ip-guard ssh --boundary b h", false},
		"help":                           {"/bin/prod-ip-guard ssh --help", false},
		"another program":                {"/bin/prod-ip-guard scp --boundary b -- h:", false},
		"a module":                       {"/bin/prod-ip-guard -", false},
		"nothing":                        {"prod-ip-guard", false},
		"the name of the program":        {"ssh h", false},
		"a host of the program's name":   {"/bin/ssh ssh --boundary b -- h", false},
		"another name of this program":   {"sandbox_vm ssh --boundary b -- h", false},
	} {
		call, early := parsePlain(strings.Split(c.words, " "))
		assert.Equal(t, c.early, early, name)
		if early {
			assert.Equal(t, "b", call.Boundary, name)
			assert.Equal(t, "h", call.Args[len(call.Args)-1-strings.Count(c.words, " true")], name)
		}
	}
}

// built is the program, as static as what is shipped, and a manifest beside it.
func built(t *testing.T) (guard, boundary string) {
	t.Helper()
	directory := t.TempDir()
	guard, boundary = filepath.Join(directory, "prod-ip-guard"), filepath.Join(directory, "boundary.yml")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", guard, "../../../cmd/controller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(boundary, []byte("any bytes\n"), 0o644))
	return guard, boundary
}

// The order of initialisation is what makes it early: it is seen in the
// program itself, where something heavy that comes to be imported would show.
func TestAConnectionThatIsOpenStartsBeforeTheRestOfTheProgram(t *testing.T) {
	t.Parallel()
	guard, boundary := built(t)
	directory := filepath.Dir(guard)
	call := func(words ...string) (initialised []string, said string, status int) {
		cmd := exec.CommandContext(t.Context(), guard, words...)
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		out, _ := cmd.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if found := regexp.MustCompile(`^init (\S+) @`).FindStringSubmatch(line); found != nil {
				initialised = append(initialised, found[1])
			} else {
				said += line
			}
		}
		return initialised, said, cmd.ProcessState.ExitCode()
	}
	heavy := []string{"gopkg.in/yaml%2ev3", "github.com/hashicorp/hcl/v2/hclsyntax", "net/netip", "html/template", "net/http", "github.com/vishvananda/netlink", "golang.org/x/crypto/ssh", "gvisor.dev/gvisor/pkg/tcpip/stack"}

	all, said, status := call("help")
	require.Zero(t, status, said)
	assert.Subset(t, all, heavy, "the program holds them")

	// Nothing is decided about -V, as about a connection that is open.
	some, said, status := call("ssh", "--boundary", boundary, "--", "-V")
	require.Zero(t, status, said)
	assert.Contains(t, said, "OpenSSH")
	for _, one := range heavy {
		assert.NotContains(t, some, one)
	}

	for name, words := range map[string][]string{
		"a manifest that has changed":        {"--boundary", boundary, "--digest", strings.Repeat("0", 64), "--", "-V"},
		"a manifest that is not there":       {"--boundary", filepath.Join(directory, "none"), "--", "-V"},
		"another ssh":                        {"--boundary", boundary, "--programs", directory + "/none", "--", "-V"},
		"something that has to be decided":   {"--boundary", boundary, "--", "-F", "none", "192.0.2.1"},
		"an option that the guard knows not": {"--boundary", boundary, "--", "-Z", "192.0.2.1"},
	} {
		rest, said, status := call(append([]string{"ssh"}, words...)...)
		assert.Subset(t, rest, heavy, "main has the word: %s", name)
		assert.Equal(t, 255, status, name)
		assert.True(t, strings.HasPrefix(said, "prod-ip-guard: ssh: "), "%s: %s", name, said)
	}
}
