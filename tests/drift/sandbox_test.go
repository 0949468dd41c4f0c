// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox

package drift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

// lab is the sandbox under test.
type lab struct{ sandboxtest.Sandbox }

func newLab(t *testing.T) lab {
	l := lab{sandboxtest.Up(t)}
	require.Empty(t, l.play(t, "site.yml").changed, "the sandbox must be as declared before anything is changed")
	return l
}

// outcome is what a run of a playbook did: hosts by task.
type outcome struct {
	changed, failed map[string][]string
	messages        []string // of debug tasks
}

// play runs a playbook of the project against the sandbox.
func (l lab) play(t *testing.T, book string, more ...string) outcome {
	t.Helper()
	command := exec.Command("ansible-playbook", l.Arguments(book, more...)...)
	command.Dir = l.Root
	command.Env = append(os.Environ(), "ANSIBLE_STDOUT_CALLBACK=ansible.posix.json", "ANSIBLE_DEPRECATION_WARNINGS=false")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, runErr := command.Output()
	var report struct {
		Plays []struct {
			Tasks []struct {
				Task  struct{ Name string }
				Hosts map[string]struct {
					Changed, Failed, Unreachable bool
					Msg                          any
				}
			}
		}
	}
	text := out[max(0, bytes.IndexByte(out, '{')):]
	require.NoError(t, json.Unmarshal(text, &report), "%s: %v\n%s%s", command, runErr, out, stderr.String())
	done := outcome{changed: map[string][]string{}, failed: map[string][]string{}}
	for _, play := range report.Plays {
		for _, task := range play.Tasks {
			name := strings.TrimPrefix(task.Task.Name, "arcodange.sandbox.")
			for host, result := range task.Hosts {
				if message, ok := result.Msg.(string); ok {
					done.messages = append(done.messages, message)
				}
				switch {
				case result.Failed || result.Unreachable:
					done.failed[name] = append(done.failed[name], fmt.Sprintf("%s: %v", host, result.Msg))
				case result.Changed:
					done.changed[name] = append(done.changed[name], host)
				}
			}
		}
	}
	if runErr != nil && len(done.failed) == 0 {
		done.failed["ansible-playbook"] = []string{runErr.Error() + ": " + stderr.String()}
	}
	return done
}

// do changes something by hand.
func (l lab) do(t *testing.T, d drift) {
	t.Helper()
	command := exec.Command("docker", "exec", sandboxtest.Name+"-"+d.where, "sh", "-c", d.shell)
	if d.where == "controller" {
		command = exec.Command("sh", "-c", d.shell)
		command.Env = append(os.Environ(), "SANDBOX="+sandboxtest.Name, "STATE="+l.State, "KUBECONFIG="+l.Kubeconfig())
	}
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// repaired demands that check mode names each of the drifts and fails at none,
// that a run repairs them, and that the next finds nothing.
func (l lab) repaired(t *testing.T, seeded []drift, more ...string) {
	t.Helper()
	check := l.play(t, "site.yml", append([]string{"--check", "--diff"}, more...)...)
	assert.Empty(t, check.failed, "check mode fails")
	for _, d := range seeded {
		assert.Contains(t, slices.Collect(maps.Keys(check.changed)), d.found, "check mode does not find that %s", d.name)
	}
	run := l.play(t, "site.yml", more...)
	assert.Empty(t, run.failed, "the run fails")
	for _, d := range seeded {
		assert.Contains(t, slices.Collect(maps.Keys(run.changed)), d.found, "the run does not repair that %s", d.name)
	}
	again := l.play(t, "site.yml", more...)
	assert.Empty(t, again.failed)
	assert.Empty(t, again.changed, "the run after the repair changes something")
}

// Drifts that do not hide each other, all at once: what `make test` runs.
func TestADozenDriftsAtOnceAreFoundAndRepaired(t *testing.T) {
	l := newLab(t)
	var seeded []drift
	for _, d := range drifts {
		if d.often {
			seeded = append(seeded, d)
		}
	}
	require.GreaterOrEqual(t, len(seeded), 12)
	// From the last: the server's kubectl must still work when it is asked.
	for _, d := range slices.Backward(seeded) {
		l.do(t, d)
	}
	l.repaired(t, seeded)
}
