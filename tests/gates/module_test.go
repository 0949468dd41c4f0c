// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package gates

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/modules/evidence"
	"github.com/arcodange-org/sandbox/modules/idempotence_gate"
	"github.com/arcodange-org/sandbox/modules/parity_assert"
	"github.com/arcodange-org/sandbox/modules/promotion_gate"
	"github.com/arcodange-org/sandbox/modules/tofu_plan_gate"
)

// child makes the test binary the kit of the gates' modules.
const child = "GATES_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(ansible.Main(os.Args, evidence.Module(), idempotencegate.Module(), parityassert.Module(), promotiongate.Module(), tofuplangate.Module()))
	}
	os.Exit(m.Run())
}

// install puts the plugins under the collection's name, with this test as their kit.
func install(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	at := filepath.Join(root, "ansible_collections", "arcodange", "sandbox")
	for _, room := range []string{"action", "callback", "doc_fragments", "modules", "plugin_utils"} {
		entries, err := filepath.Glob(filepath.Join("..", "..", "plugins", room, "*.py"))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(at, "plugins", room), 0o755))
		for _, entry := range entries {
			data, err := os.ReadFile(entry)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(at, "plugins", room, filepath.Base(entry)), data, 0o644))
		}
	}
	self, err := os.Executable()
	require.NoError(t, err)
	name := fmt.Sprintf("controller_%s_%s", runtime.GOOS, runtime.GOARCH)
	bin := filepath.Join(at, "plugins", "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", child, run.Quote(self))
	require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	_, err = run.Exec{}.Run(t.Context(), run.Cmd{Name: "xz", Args: []string{filepath.Join(bin, name)}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "SHA256SUMS"), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256([]byte(script)), name), 0o644))
	return root
}

func TestTheModuleFailsOnRedAndKeepsAReportEitherWay(t *testing.T) {
	t.Parallel()
	python := os.Getenv("ANSIBLE_PYTHON")
	require.NotEmpty(t, python, "set ANSIBLE_PYTHON to the Python that has Ansible; `make unit` does")
	root := install(t)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	write("ansible.cfg", "[defaults]\n")
	write("hosts", fmt.Sprintf(inventory, python))
	write("green.yml", "- hosts: web1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n")
	write("red.yml", "- hosts: web1\n  gather_facts: false\n  tasks:\n    - name: Make it\n      ansible.builtin.file: {path: '{{ playbook_dir }}/new', state: directory}\n")
	write("gate.yml", `
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Judge what is green
      arcodange.sandbox.idempotence_gate: {playbook: green.yml, inventory: [hosts], report: green.json, converge: true, snapshot: [files], watch: []}
      register: green
    - name: Judge what is red
      arcodange.sandbox.idempotence_gate: {playbook: red.yml, inventory: [hosts], report: red.json}
      register: red
      ignore_errors: true
    - name: Judge what is not there
      arcodange.sandbox.idempotence_gate: {playbook: gone.yml, inventory: [hosts], report: gone.json}
      register: gone
      ignore_errors: true
    - ansible.builtin.assert:
        that:
          - green.verdict == 'green' and not green.changed and green.findings == [] and green.hosts == ['web1']
          - red is failed and red.verdict == 'red' and not red.changed
          - red.msg is match('changed. task "Make it" at .*red.yml.4 on web1. it would change something$')
          - red.findings[0].rule == 'changed'
          - gone is failed and gone.verdict == 'red' and gone.findings[0].rule == 'nothing_ran'
`)
	play := func(args ...string) {
		res, err := run.Exec{}.Run(t.Context(), run.Cmd{
			Name: filepath.Join(filepath.Dir(python), "ansible-playbook"), Args: append(args, "gate.yml"), Dir: root,
			Env: append(os.Environ(), "ANSIBLE_COLLECTIONS_PATH="+root, "ANSIBLE_CONFIG="+filepath.Join(root, "ansible.cfg"), "ANSIBLE_NOCOLOR=1",
				"ANSIBLE_HOME="+root, "ANSIBLE_LOCAL_TEMP="+root, "XDG_CACHE_HOME="+filepath.Join(root, "cache"),
				"ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_INVENTORY_UNPARSED_WARNING=False"),
		})
		require.NoError(t, err, string(res.Stdout)+string(res.Stderr))
	}
	play()
	for name, wanted := range map[string]struct {
		verdict string
		proved  bool
	}{"green": {"green", true}, "red": {"red", false}, "gone": {"red", false}} {
		path := filepath.Join(root, name+".json")
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var report idempotence.Report
		require.NoError(t, json.Unmarshal(data, &report))
		assert.Equal(t, wanted.verdict, string(report.Verdict), name)
		assert.Equal(t, wanted.proved, report.Converged, name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	assert.NoDirExists(t, filepath.Join(root, "new"))
}
