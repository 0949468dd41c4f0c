// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package gates

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ledger "github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/evidence/record"
	"github.com/arcodange-org/sandbox/internal/gate/idempotence"
	"github.com/arcodange-org/sandbox/internal/tree"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

func TestAGateWritesWhatItFoundIntoTheLedger(t *testing.T) {
	t.Parallel()
	site, write := install(t)
	root := site.Root
	execute := func(dir, name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(tree.GitEnv(os.Environ()), "GIT_CONFIG_GLOBAL="+os.DevNull)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	execute(root, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "key")
	public, err := os.ReadFile(filepath.Join(root, "key.pub"))
	require.NoError(t, err)
	write("allowed", "ops@example.org "+string(public))
	write("hosts", fmt.Sprintf(inventory, ansibletest.Python(t)))
	write("factory/green.yml", "- hosts: web1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n")
	write("factory/red.yml", "- hosts: web1\n  gather_facts: false\n  tasks:\n    - name: Make it\n      ansible.builtin.file: {path: '{{ playbook_dir }}/new', state: directory}\n")
	write("factory/moves.yml", `
- hosts: web1
  gather_facts: false
  tasks:
    - name: Change what is under test and call it nothing
      ansible.builtin.command: touch {{ playbook_dir }}/left
      check_mode: false
      changed_when: false
`)
	execute(filepath.Join(root, "factory"), "git", "init", "-q")
	execute(filepath.Join(root, "factory"), "git", "add", ".")
	execute(filepath.Join(root, "factory"), "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first")
	write("gate.yml", `
- hosts: localhost
  gather_facts: false
  vars:
    about: {ledger: "{{ playbook_dir }}/kept/ledger.jsonl", signing_key: "{{ playbook_dir }}/key", repositories: {factory: "{{ playbook_dir }}/factory"},
            inventory: "{{ playbook_dir }}/hosts", mode: vm, driver: docker, distribution: embedded, versions: {ansible-core: "{{ ansible_version.full }}"}}
  tasks:
    - name: Green
      arcodange.sandbox.idempotence_gate: {playbook: factory/green.yml, inventory: [hosts], report: green.json, evidence: "{{ about }}"}
      register: green
    - name: Red
      arcodange.sandbox.idempotence_gate: {playbook: factory/red.yml, inventory: [hosts], report: red.json, evidence: "{{ about }}"}
      register: red
      ignore_errors: true
    - name: Not there
      arcodange.sandbox.idempotence_gate: {playbook: factory/gone.yml, inventory: [hosts], report: gone.json, evidence: "{{ about }}"}
      ignore_errors: true
    - name: No Ansible
      arcodange.sandbox.idempotence_gate:
        {playbook: factory/green.yml, inventory: [hosts], report: none.json, ansible_playbook: "{{ playbook_dir }}/nowhere", evidence: "{{ about }}"}
      register: absent
      ignore_errors: true
    - name: Moves
      arcodange.sandbox.idempotence_gate: {playbook: factory/moves.yml, inventory: [hosts], report: moves.json, evidence: "{{ about }}"}
      register: moves
      ignore_errors: true
    - name: In check mode
      arcodange.sandbox.idempotence_gate: {playbook: factory/green.yml, inventory: [hosts], report: check.json, evidence: "{{ about }}"}
      check_mode: true
      register: check
    - name: Where no ledger can be
      arcodange.sandbox.idempotence_gate:
        {playbook: factory/green.yml, inventory: [hosts], report: unkept.json, evidence: "{{ about | combine({'ledger': '/proc/ledger.jsonl'}) }}"}
      register: unkept
      ignore_errors: true
    - name: Elsewhere
      arcodange.sandbox.idempotence_gate: {playbook: gate.yml, inventory: [hosts], report: elsewhere.json, evidence: "{{ about }}"}
      register: elsewhere
      ignore_errors: true
    - name: Another inventory
      arcodange.sandbox.idempotence_gate: {playbook: factory/green.yml, inventory: [ansible.cfg], report: another.json, evidence: "{{ about }}"}
      register: another
      ignore_errors: true
    - name: Narrowed
      arcodange.sandbox.idempotence_gate:
        playbook: factory/green.yml
        inventory: [hosts]
        limit: web1
        skip_tags: [slow]
        variables: {given: x}
        report: narrowed.json
        evidence: "{{ about | combine({'ledger': playbook_dir ~ '/narrowed.jsonl', 'versions': {'ansible-core': '1'}}) }}"
      register: narrowed
    - name: A drill
      arcodange.sandbox.evidence:
        {state: recorded, what: drill_restore, verdict: green, summary: "Restored", seconds: 2.5, report: green.json, ledger: "{{ about.ledger }}", signing_key: "{{ about.signing_key }}"}
      register: drill
    - name: Verified
      arcodange.sandbox.evidence: {ledger: "{{ about.ledger }}", allowed_signers: allowed}
      register: verified
    - ansible.builtin.assert:
        that:
          - green.evidence.sequence == 1 and green.evidence.verdict == 'green' and not green.changed
          - red is failed and red.evidence.sequence == 2
          - absent is failed and absent.evidence.verdict == 'red'
          - moves is failed and moves.msg is search('the repository factory changed while idempotence_gate ran')
          - check is not failed and check.evidence is not defined
          - unkept is failed and unkept.msg is search('ledger /proc/ledger.jsonl')
          - elsewhere is failed and elsewhere.msg is search('not in any of evidence.repositories .factory.') and elsewhere.evidence is not defined
          - another is failed and another.msg is search('evidence.inventory. the run uses another one .got .*hosts, uses') and another.verdict is not defined
          - narrowed.verdict == 'green' and narrowed.narrowed | length == 3
          - drill is changed
          - verified.anchored
          - verified.records == 6 and verified.problems == [] and not verified.changed
    - name: Rendered, foretold
      arcodange.sandbox.evidence: {state: rendered, ledger: "{{ about.ledger }}", page: kept/index.html}
      check_mode: true
      register: foretold
    - ansible.builtin.stat: {path: kept/index.html}
      register: nothing
    - name: Rendered
      arcodange.sandbox.evidence: {state: rendered, ledger: "{{ about.ledger }}", page: kept/index.html, title: The lab's <evidence>}
      register: rendered
    - name: Rendered again
      arcodange.sandbox.evidence: {state: rendered, ledger: "{{ about.ledger }}", page: kept/index.html, title: The lab's <evidence>}
      register: again
    - ansible.builtin.stat: {path: kept/index.html}
      register: page
    - ansible.builtin.assert:
        that:
          - foretold is changed and not nothing.stat.exists
          - rendered is changed and rendered.records == 6 and again is not changed
          - page.stat.mode == '0600'
          - lookup('ansible.builtin.file', playbook_dir ~ '/kept/index.html') is search('Verified')
    - name: Turn red into green
      ansible.builtin.replace: {path: "{{ about.ledger }}", regexp: '"verdict":"red","summary":"changed', replace: '"verdict":"green","summary":"changed'}
    - name: Found out
      arcodange.sandbox.evidence: {ledger: "{{ about.ledger }}"}
      register: found
      ignore_errors: true
    - ansible.builtin.assert:
        that:
          - found is failed and found.problems | length == 1 and found.problems[0].kind == 'changed' and found.problems[0].sequence == 2
          - found.msg is search('record 2 .line 2. was changed')
    - name: Rendered all the same
      arcodange.sandbox.evidence: {state: rendered, ledger: "{{ about.ledger }}", page: kept/index.html}
      register: wrong
      ignore_errors: true
    - ansible.builtin.assert:
        that:
          - wrong is failed and wrong is changed
          - lookup('ansible.builtin.file', playbook_dir ~ '/kept/index.html') is search('Not to be trusted')
`)
	out, err := site.Play(t, "gate.yml")
	require.NoError(t, err, out)
	entries, err := ledger.Read(filepath.Join(root, "kept", "ledger.jsonl"))
	require.NoError(t, err)
	require.Len(t, entries, 6)
	for i, wanted := range []struct{ what, verdict, summary string }{
		{"idempotence_gate", "green", "nothing changed"},
		{"idempotence_gate", "green", "it would change something"}, // as the play above has forged it
		{"idempotence_gate", "red", "gone.yml"},
		{"idempotence_gate", "red", "nowhere"},
		{"idempotence_gate", "red", "the repository factory changed while it ran"},
		{"drill_restore", "green", "Restored"},
	} {
		assert.Equal(t, wanted.what, entries[i].What)
		assert.Equal(t, wanted.verdict, string(entries[i].Verdict), entries[i].Summary)
		assert.Contains(t, entries[i].Summary, wanted.summary)
	}
	narrowed, err := ledger.Read(filepath.Join(root, "narrowed.jsonl"))
	require.NoError(t, err)
	require.Len(t, narrowed, 1)
	assert.Equal(t, []string{"narrowed: limit web1", "narrowed: skip_tags slow", "narrowed: variables given"}, narrowed[0].Waivers)
	assert.NotEqual(t, "1", narrowed[0].Versions["ansible-core"], "what was met stands over what the task says")
	assert.Empty(t, entries[0].Waivers)
	var report idempotence.Report
	data, err := os.ReadFile(filepath.Join(root, "green.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &report))
	assert.Equal(t, &record.Location{Repository: "factory", Path: "green.yml"}, report.In)
	assert.Equal(t, narrowed[0].Versions["ansible-core"], report.Core)
	assert.Equal(t, "factory", entries[0].Trees[0].Repository)
	assert.False(t, entries[0].Trees[0].Dirty)
	assert.Len(t, entries[0].Inventory, 64)
	assert.Len(t, entries[0].Report.SHA256, 64)
	assert.Positive(t, entries[0].Duration)
	assert.Equal(t, "2.5s", entries[5].Duration.String())
	assert.False(t, strings.HasPrefix(entries[0].Report.Path, "~"))
}
