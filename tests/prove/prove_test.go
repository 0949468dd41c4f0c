// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

func TestTheGateProvesTheRealSandbox(t *testing.T) {
	s := site{sandboxtest.Up(t)}
	t.Run("the site leaves every node and the cluster alone", func(t *testing.T) {
		report := s.gate(t, "site.yml")
		assert.Equal(t, evidence.Green, report.Verdict, lines(report))
		assert.Empty(t, report.Findings, lines(report))
		assert.True(t, report.Converged)
		assert.Equal(t, []string{"localhost", "pi1", "pi2", "pi3"}, report.Hosts)
	})
	t.Run("what nodes and cluster do by themselves is no undeclared change", func(t *testing.T) {
		stop := s.busy(t)
		report := s.gate(t, "tests/prove/testdata/honest.yml")
		stop()
		assert.Equal(t, evidence.Green, report.Verdict, lines(report))
		assert.Empty(t, report.Findings, lines(report))
	})
	t.Run("every undeclared change is named at its task, and no other task", func(t *testing.T) {
		image := strings.TrimSpace(s.On(t, "pi2", "docker", "ps", "--filter=name=postgres", "--format={{.Image}}"))
		require.NotEmpty(t, image)
		t.Cleanup(func() { // other suites use this sandbox
			s.On(t, "pi2", "sh", "-c", "docker ps --all --quiet --filter name=prove- | xargs --no-run-if-empty docker rm --force; "+
				"dpkg --purge prove-comes; systemctl disable prove-enabled.service")
		})
		require.NoError(t, s.Play(t, "tests/prove/testdata/prepare.yml", "-e", "image="+image))
		report := s.gate(t, "tests/prove/testdata/liars.yml", "image", image)
		wanted := map[string]struct{ host, what, says string }{
			"Lie about a package that comes":             {"pi2", "package prove-comes", "is new"},
			"Lie about a package that goes":              {"pi2", "package prove-goes", "is gone"},
			"Lie about a unit that is enabled":           {"pi2", "unit prove-enabled.service", "enabled=disabled"},
			"Lie about a unit that is started anew":      {"pi2", "unit prove-restarted.service", "run="},
			"Lie about a unit that is stopped":           {"pi2", "unit prove-stopped.service", "active=active"},
			"Lie about a container that is made anew":    {"pi2", "container docker prove-recreated", "differs"},
			"Lie about a container that goes":            {"pi2", "container docker prove-removed", "is gone"},
			"Lie about a container that is started anew": {"pi2", "container docker prove-left", "started="},
			"Lie about a file":                           {"pi2", "file /etc/prove-edited", "sha256:"},
			"Lie about a file that goes":                 {"pi2", "file /etc/prove-unlinked", "is gone"},
			"Lie about a Deployment":                     {"localhost", "object apps/v1 Deployment prove/annotated", "content="},
			"Lie about a Deployment's template":          {"localhost", "object apps/v1 Deployment prove/patched", "generation="},
			"Lie about a Secret":                         {"localhost", "object v1 Secret prove/edited", "content="},
			"Lie about the agent, which is started anew": {"pi3", "unit k3s-agent.service", "run="},
		}
		assert.Equal(t, evidence.Red, report.Verdict)
		assert.Len(t, report.Findings, len(wanted), lines(report))
		for _, f := range report.Findings {
			w, known := wanted[f.Task]
			if !assert.True(t, known, f.Message) {
				continue
			}
			delete(wanted, f.Task)
			assert.Equal(t, "undeclared_change", f.Rule, f.Message)
			assert.Equal(t, w.host, f.Host, f.Message)
			assert.Contains(t, f.Where, "testdata/liars.yml:")
			assert.Contains(t, f.Found, "changed_when is False")
			var headers []string
			for _, change := range f.Diff {
				headers = append(headers, change.Header)
			}
			assert.Contains(t, headers, w.what, f.Message)
			assert.Contains(t, fmt.Sprint(f.Found, f.Diff), w.says)
		}
		assert.Empty(t, wanted, "nobody said anything of these: "+lines(report))
	})
}

func lines(r idempotence.Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s %s %v", f.Run, f.Message, f.Diff))
	}
	return strings.Join(out, "\n")
}

type site struct{ sandboxtest.Sandbox }

// gate has the playbook judge another one, with the given variables, and returns the report.
func (s site) gate(t *testing.T, book string, variables ...string) idempotence.Report {
	t.Helper()
	given := map[string]any{"sandbox_name": sandboxtest.Name, "sandbox_subnet": sandboxtest.Subnet, "sandbox_evidence": map[string]any{}}
	for n := 0; n < len(variables); n += 2 {
		given[variables[n]] = variables[n+1]
	}
	path := filepath.Join(t.TempDir(), "report.json")
	options, err := json.Marshal(map[string]any{
		"gate_idempotence_playbook": book, "gate_idempotence_converge": true, "gate_idempotence_report": path, "gate_idempotence_variables": given,
		"sandbox_evidence": map[string]string{"ledger": filepath.Join(filepath.Dir(path), "ledger.jsonl")},
	})
	require.NoError(t, err)
	begun := time.Now()
	failed := s.Play(t, "playbooks/gate_idempotence.yml", "-e", string(options))
	t.Logf("the gate took %s", time.Since(begun).Round(100*time.Millisecond))
	data, err := os.ReadFile(path)
	require.NoError(t, err, fmt.Sprint(failed))
	var report idempotence.Report
	require.NoError(t, json.Unmarshal(data, &report))
	kept, err := evidence.Read(filepath.Join(filepath.Dir(path), "ledger.jsonl"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	assert.Equal(t, report.Verdict, kept[0].Verdict)
	assert.Equal(t, []string{"vm", "docker", "embedded"}, []string{kept[0].Mode, kept[0].Driver, kept[0].Distribution}, "as the inventory has it")
	assert.Len(t, kept[0].Inventory+kept[0].Boundary, 2*64)
	assert.Equal(t, report.Verdict == evidence.Green, failed == nil, "red fails the playbook, and green does not: %v", failed)
	return report
}

// busy has nodes and cluster do what they do by themselves, only more often, until it is told to stop.
func (s site) busy(t *testing.T) (stop func()) {
	t.Helper()
	s.On(t, "pi3", "sh", "-c", `
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >/etc/systemd/system/prove-tick.service
printf '[Timer]\nOnActiveSec=1\nOnUnitInactiveSec=1\nAccuracySec=100ms\n' >/etc/systemd/system/prove-tick.timer
systemctl daemon-reload && systemctl start prove-tick.timer`)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			// A pod of a Deployment is made anew: pods, endpoints, events; and somebody logs in.
			_ = exec.CommandContext(ctx, "kubectl", "--kubeconfig="+s.Kubeconfig(), "--namespace=kube-system", "delete", "pod", "--selector=k8s-app=kube-dns", "--wait=false").Run()
			_ = exec.CommandContext(ctx, "docker", "exec", sandboxtest.Name+"-pi3", "systemctl", "start", "systemd-hostnamed.service").Run()
			select {
			case <-ctx.Done():
			case <-time.After(3 * time.Second):
			}
		}
	})
	return func() { cancel(); group.Wait() }
}
