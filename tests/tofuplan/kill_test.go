// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tofu

package tofuplan

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	gate "github.com/arcodange-org/sandbox/internal/gate/plan"
	"github.com/arcodange-org/sandbox/internal/run"
)

// victim names the folder of a world, in a process that is going to be killed.
const victim = "TOFUPLAN_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		manifest, err := boundary.Load(filepath.Join(dir, "boundary.yml"))
		if err != nil {
			panic(err)
		}
		g := gate.Gate{Runner: run.Exec{}, Binary: filepath.Join(dir, "wrapper"), Env: os.Environ(), Work: filepath.Join(dir, "work")}
		_, _ = g.Evaluate(context.Background(), gate.Options{Root: filepath.Join(dir, "root"), Override: filepath.Join(dir, "override.tf"), Boundary: boundary.Checker{Manifest: manifest}})
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestARunThatIsKilledLeavesNoPlanFileAfterTheNext(t *testing.T) {
	t.Parallel()
	w := build(t)
	w.apply(guarded)
	w.write("root/main.tf", guarded)
	w.write("boundary.yml", "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [127.0.0.0/8], tofu_state: [{backend: local, locations: ['"+w.dir+"/sandbox/*']}]}\n")
	real := w.gate.Binary
	w.wrap(`if [ "$1" = show ]; then echo $$ >"` + w.dir + `/planned"; exec sleep 60; fi; exec "$TOFU" "$@"`)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self)
	child.Env = append(os.Environ(), victim+"="+w.dir)
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(w.dir, "planned")); return err == nil }, 30*time.Second, 20*time.Millisecond)
	plans := func() []string {
		found, err := filepath.Glob(filepath.Join(w.dir, "work", "plan-*", "plan"))
		require.NoError(t, err)
		return found
	}

	w.gate.Binary = real
	report, err := w.gate.Evaluate(t.Context(), w.opts)
	require.NoError(t, err)
	assert.Equal(t, evidence.Green, report.Verdict, report.Summary())
	assert.Len(t, plans(), 1, "one that is still at work is left alone")

	pid, err := strconv.Atoi(strings.TrimSpace(w.read("planned")))
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // what the victim had started goes on
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	require.Len(t, plans(), 1)
	assert.Equal(t, evidence.Green, w.judge().Verdict) // asserts that nothing is left
}
