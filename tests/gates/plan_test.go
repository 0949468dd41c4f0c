// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible && tofu

package gates

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ledger "github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/plan"
)

func TestPlansAreCheckedThroughAnsibleAndNoSecretIsShown(t *testing.T) {
	t.Parallel()
	tofu := os.Getenv("SANDBOX_TOFU")
	require.NotEmpty(t, tofu, "set SANDBOX_TOFU to the pinned OpenTofu; `make test-tofuplan` does")
	site, write := install(t)
	root := site.Root
	backend := func(place string) string {
		return fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", filepath.Join(root, place, "default.tfstate"))
	}
	write("boundary.yml", fmt.Sprintf(`
production:
  addresses: [192.0.2.1]
  tofu_state: [{backend: local, locations: ['%[1]s/production/*']}]
sandbox:
  addresses: [127.0.0.0/8]
  environment: [OVH_APPLICATION_SECRET]
  tofu_state: [{backend: local, locations: ['%[1]s/states/*']}]
`, root))
	write("iac/main.tf", `variable "password" {
  type      = string
  sensitive = true
}
resource "terraform_data" "database" {
  input = { user = "app", password = var.password }
}
output "user" {
  value = nonsensitive(terraform_data.database.input.user)
}
`)
	write("sandbox.tf", backend("states"))
	write("production.tf", backend("production"))
	write("gate.yml", `
- hosts: localhost
  gather_facts: false
  vars:
    secret: correct-horse-battery
    about: {ledger: "{{ playbook_dir }}/ledger.jsonl"}
  module_defaults:
    arcodange.sandbox.tofu_plan_gate:
      root: iac
      boundary: boundary.yml
      binary: `+tofu+`
      variables: {password: "{{ secret }}"}
      environment: {OVH_APPLICATION_SECRET: "{{ secret }}"}
      backend_override: sandbox.tf
      evidence: "{{ about }}"
  tasks:
    - name: Judge what is green
      arcodange.sandbox.tofu_plan_gate: {expect: changes, report: green.json}
      register: green
    - name: Judge what is red
      arcodange.sandbox.tofu_plan_gate: {report: red.json}
      register: red
      ignore_errors: true
    - name: Judge against production's state
      arcodange.sandbox.tofu_plan_gate: {backend_override: production.tf, report: production.json}
      register: production
      ignore_errors: true
    - name: Judge what is not there
      arcodange.sandbox.tofu_plan_gate: {root: nowhere, report: gone.json}
      register: gone
      ignore_errors: true
    - ansible.builtin.assert:
        that:
          - green.verdict == 'green' and not green.changed and green.findings == [] and green.product == 'OpenTofu'
          - green.changes | map(attribute='action') | list == ['create', 'create']
          - red is failed and red.verdict == 'red' and not red.changed
          - red.msg is match('changed. terraform_data.database. create of .*and 1 more')
          - red.findings | map(attribute='rule') | list == ['changed', 'output']
          - production is failed and production.findings | map(attribute='rule') | list == ['production_state']
          - production.findings[0].where is search('production.tf.2')
          - gone is failed and gone.msg is search('nowhere')
`)
	out, err := site.Play(t, "-vvv", "gate.yml")
	require.NoError(t, err, out)
	assert.NotContains(t, out, "correct-horse-battery")
	for name, verdict := range map[string]string{"green": "green", "red": "red", "production": "red"} {
		path := filepath.Join(root, name+".json")
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "correct-horse-battery")
		var report plan.Report
		require.NoError(t, json.Unmarshal(data, &report))
		assert.Equal(t, verdict, string(report.Verdict), name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	entries, err := ledger.Read(filepath.Join(root, "ledger.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	assert.Len(t, entries[0].Boundary, 64, "the gate fills in the boundary that it runs with")
	assert.NotEmpty(t, entries[0].Versions["opentofu"])
	verdicts := []string{}
	for _, entry := range entries {
		verdicts = append(verdicts, string(entry.Verdict))
	}
	assert.Equal(t, []string{"green", "red", "red", "red"}, verdicts, "one that could not be evaluated is kept too")
	left, err := os.ReadDir(filepath.Join(root, "state/arcodange-sandbox/gates/plans"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
