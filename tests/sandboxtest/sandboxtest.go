// SPDX-License-Identifier: GPL-3.0-or-later

// Package sandboxtest brings up the sandbox that the long suites share: three
// machines with Kubernetes and PostgreSQL, beside any other sandbox of this
// computer. Each suite finds it as the playbook site.yml leaves it.
//
// With SANDBOX_KEEP set, as `make test-sandbox` does, the sandbox stays for the
// next suite, and for the one who works on a test.
package sandboxtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/xdg"
)

// The sandbox, its network, and its inventory relative to the checkout.
const (
	Name      = "suite"
	Subnet    = "172.30.31.0/24"
	Server    = "172.30.31.11" // address of the server of Kubernetes
	Inventory = "tests/sandboxtest/inventory"
)

// Sandbox is the sandbox under test.
type Sandbox struct {
	Root  string // of the checkout
	State string // folder with its keys and kubeconfig
}

// Up brings the sandbox up.
func Up(t *testing.T) Sandbox {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	state, err := xdg.State(os.Getenv)
	require.NoError(t, err)
	s := Sandbox{Root: root, State: filepath.Join(state, Name)}
	if os.Getenv("SANDBOX_KEEP") == "" {
		require.NoError(t, s.Play(t, "destroy.yml"))
		t.Cleanup(func() { assert.NoError(t, s.Play(t, "destroy.yml"), "nothing of the sandbox may stay") })
	}
	require.NoError(t, s.Play(t, "site.yml"))
	return s
}

// Kubeconfig is the file with access to the cluster.
func (s Sandbox) Kubeconfig() string { return filepath.Join(s.State, "kubeconfig") }

// Arguments are those of ansible-playbook for a playbook of the project.
func (s Sandbox) Arguments(book string, more ...string) []string {
	return append([]string{"-i", Inventory, "-e", "sandbox_name=" + Name, "-e", "sandbox_subnet=" + Subnet, "-e", `{"sandbox_evidence": {}}`, book}, more...)
}

// Play runs a playbook of the project, named relative to the checkout.
func (s Sandbox) Play(t *testing.T, book string, more ...string) error {
	t.Helper()
	begun := time.Now()
	command := exec.Command("ansible-playbook", s.Arguments(book, more...)...)
	command.Dir = s.Root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	t.Logf("%s %s took %s", book, strings.Join(more, " "), time.Since(begun).Round(100*time.Millisecond))
	return nil
}

// On runs a command on a node.
func (s Sandbox) On(t require.TestingT, node string, command ...string) string {
	out, err := exec.Command("docker", append([]string{"exec", Name + "-" + node}, command...)...).CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(command, " "), out)
	return string(out)
}
