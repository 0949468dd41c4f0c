// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package gates

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/modules/evidence"
	"github.com/arcodange-org/sandbox/modules/idempotence_gate"
	"github.com/arcodange-org/sandbox/modules/parity_assert"
	"github.com/arcodange-org/sandbox/modules/promotion_gate"
	"github.com/arcodange-org/sandbox/modules/tofu_plan_gate"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

func TestMain(m *testing.M) {
	if ansibletest.StartedAs() != "" {
		os.Exit(ansible.Main(os.Args, evidence.Module(), idempotencegate.Module(), parityassert.Module(), promotiongate.Module(), tofuplangate.Module()))
	}
	os.Exit(m.Run())
}

// install returns the collection with this test as its binary, and a function that writes files beside it.
func install(t *testing.T) (ansibletest.Site, func(name, text string)) {
	t.Helper()
	site := ansibletest.Install(t, ansibletest.Self(t), "")
	return site, func(name, text string) {
		t.Helper()
		site.Write(t, name, text)
	}
}

func TestTheModuleFailsOnRedAndKeepsAReportEitherWay(t *testing.T) {
	t.Parallel()
	site, write := install(t)
	root := site.Root
	write("hosts", fmt.Sprintf(inventory, ansibletest.Python(t)))
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
      arcodange.sandbox.idempotence_gate: {playbook: red.yml, inventory: [hosts], report: red.json, report_formats: [annotations, junit, sarif, text]}
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
          - red.reports | sort == ['annotations', 'json', 'junit', 'sarif', 'text']
          - lookup('ansible.builtin.file', red.reports.annotations) is search('file=red.yml,line=4|file=.*red.yml,line=4')
          - gone is failed and gone.verdict == 'red' and gone.findings[0].rule == 'nothing_ran'
`)
	out, err := site.Play(t, "gate.yml")
	require.NoError(t, err, out)
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
