// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package capture

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/modules/parity_assert"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

func init() {
	if ansibletest.StartedAs() != "" {
		os.Exit(ansible.Main(os.Args, parityassert.Module()))
	}
}

func TestTheModuleWritesTheManifestOnceAndReportsChanges(t *testing.T) {
	t.Parallel()
	site := ansibletest.Install(t, ansibletest.Self(t), "")
	root := site.Root
	dir, _ := readLab(t).commit(t)
	for name, text := range map[string]string{
		"boundary.yml": "production:\n  addresses: [192.0.2.1]\nsandbox:\n  addresses: [198.51.100.0/24]\n",
		"capture.yml": `
- hosts: localhost
  gather_facts: false
  vars_files: [sources.yml]
  module_defaults:
    arcodange.sandbox.parity_assert: {state: captured, manifest: out/parity.yml, timeout: 600, capture: "{{ parity_capture_sources }}"}
  tasks:
    - name: Only look
      arcodange.sandbox.parity_assert:
      check_mode: true
      diff: true
      register: looked
    - ansible.builtin.stat: {path: "{{ playbook_dir }}/out/parity.yml"}
      register: absent
    - name: Write
      arcodange.sandbox.parity_assert:
      register: written
    - name: Write again
      arcodange.sandbox.parity_assert:
      register: again
    - ansible.builtin.copy: {src: out/parity.yml, dest: "{{ playbook_dir }}/kept.yml", mode: "0644"}
    - ansible.builtin.copy: {dest: "{{ playbook_dir }}/out/parity.yml", content: "other\n", mode: "0644"}
    - name: Write over another
      arcodange.sandbox.parity_assert:
      diff: true
      register: over
    - name: Fail on what cannot be read
      arcodange.sandbox.parity_assert: {manifest: out/bad.yml, capture: "{{ parity_capture_sources | combine({'unread': []}) }}"}
      register: bad
      ignore_errors: true
    - name: Refuse what is for the other state
      arcodange.sandbox.parity_assert: {hosts: {}}
      register: other
      ignore_errors: true
    - name: Refuse an unread without a reason
      arcodange.sandbox.parity_assert: {capture: {unread: [{path: x, reason: ""}]}}
      register: unread
      ignore_errors: true
    - name: Refuse a component that is found in two ways
      arcodange.sandbox.parity_assert: {capture: {components: [{name: x, api_group: x.example, image: {repository: x}}]}}
      register: ways
      ignore_errors: true
    - name: Refuse a kubeconfig without a boundary
      arcodange.sandbox.parity_assert: {kubeconfig: nowhere}
      register: unbound
      ignore_errors: true
    - name: Refuse a kubeconfig that is not there
      arcodange.sandbox.parity_assert: {kubeconfig: nowhere, boundary: boundary.yml}
      register: gone
      ignore_errors: true
    - ansible.builtin.assert:
        that:
          - looked is changed and not absent.stat.exists and looked.diff[0].before == '' and 'kubernetes' in looked.diff[0].after
          - written is changed and written.problems == [] and written.sources | map(attribute='repository') | list == ['erp', 'factory', 'tools']
          - written.not_backed_up | length == 4
          - again is not changed
          - over is changed and over.diff[0].before == 'other\n'
          - bad is failed and bad is not changed and bad.problems | length == 1 and bad.problems[0].rule == 'unread'
          - bad.msg is match('no manifest was written. unread. factory.ansible/roles/pihole')
          - other is failed and other.msg is search('hosts is for state asserted')
          - unread is failed and unread.msg is search('has no path or no reason')
          - ways is failed and ways.msg is search('needs one of helm_release, image and api_group')
          - unbound is failed and unbound.msg is search('boundary. not set')
          - gone is failed and gone.msg is search('looking at the kubeconfig')
`,
	} {
		site.Write(t, name, text)
	}
	sources, err := os.ReadFile("testdata/sources.yml")
	require.NoError(t, err)
	site.Write(t, "sources.yml", string(sources))
	out, err := site.Play(t, "-e", "lab="+dir, "-e", "ansible_inventory="+ansibletest.Program(t, "ansible-inventory"), "capture.yml")
	require.NoError(t, err, out)
	assert.NoFileExists(t, filepath.Join(root, "out/bad.yml"))
	kept, err := os.ReadFile(filepath.Join(root, "kept.yml"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "out/parity.yml"))
	require.NoError(t, err)
	assert.Equal(t, string(kept), string(text), "whatever was there before")
	_, err = parity.Load(filepath.Join(root, "out/parity.yml"))
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(root, "out/parity.yml"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm())
	left, err := os.ReadDir(filepath.Join(root, "out"))
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing is left beside it")
}
