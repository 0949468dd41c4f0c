// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package gates

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ledger "github.com/arcodange-org/sandbox/internal/evidence"
	kit "github.com/arcodange-org/sandbox/internal/gate"
)

// answers are those of an API server of one node; the real one is asked by tests/parity.
var answers = map[string]string{
	"/version": `{"gitVersion": "v1.34.3+k3s1.embedded"}`,
	"/apis":    `{"kind": "APIGroupList", "groups": [{"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}]}`,
	"/api/v1/nodes": `{"kind": "NodeList", "items": [{"metadata": {"name": "pi1", "labels": {"node-role.kubernetes.io/control-plane": "true"}},
		"status": {"nodeInfo": {"architecture": "arm64", "kubeletVersion": "v1.34.3+k3s1.embedded"}, "conditions": [{"type": "Ready", "status": "True"}]}}]}`,
	"/api/v1/pods":                   `{"kind": "PodList", "items": [{"metadata": {"name": "vault-0", "namespace": "tools"}, "spec": {"containers": [{"name": "vault", "image": "hashicorp/vault:1.20.0"}]}}]}`,
	"/api/v1/services":               `{"kind": "ServiceList", "items": []}`,
	"/apis/apps/v1/deployments":      `{"kind": "DeploymentList", "items": []}`,
	"/apis/apps/v1/statefulsets":     `{"kind": "StatefulSetList", "items": []}`,
	"/apis/apps/v1/daemonsets":       `{"kind": "DaemonSetList", "items": []}`,
	"/api/v1/persistentvolumeclaims": `{"kind": "PersistentVolumeClaimList", "items": []}`,
	"/api/v1/persistentvolumes":      `{"kind": "PersistentVolumeList", "items": []}`,
}

func TestParityIsCheckedThroughAnsibleAndItsDifferenceIsShown(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, there := answers[r.URL.Path]
		if !there || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	require.NoError(t, err)

	site, write := install(t)
	root := site.Root
	const config = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "%s", certificate-authority-data: %s}}]
users: [{name: u, user: {token: correct-horse-battery}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	write("kubeconfig", fmt.Sprintf(config, server.URL, ca))
	write("production", fmt.Sprintf(config, "https://192.0.2.1:6443", ca))
	write("boundary.yml", "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [172.30.0.0/16], endpoints: ['127.0.0.1:"+at.Port()+"']}\n")
	write("manifest.yml", `
kubernetes: {distribution: k3s, version: v1.34.3+k3s1}
nodes: [{name: pi1, roles: [server], architecture: arm64}]
components: [{name: vault, version: 1.19.0, found_by: {image: {repository: hashicorp/vault}}}]
applications: {namespace: argocd, items: []}
outside: [{name: postgresql, hosts: postgres, version: "16.3", compose: {project: postgres, service: postgres, image: postgres}}]
backups: []
`)
	write("waivers.yml", fmt.Sprintf("- {rule: parity/component, path: components/vault/version, reason: The new one is tried out., expires: %s}\n", time.Now().AddDate(0, 0, 30).Format(time.DateOnly)))
	write("gate.yml", `
- hosts: localhost
  gather_facts: false
  vars:
    containers: [{name: pg, project: postgres, service: postgres, image: "postgres:16.3", status: running, health: healthy}]
  module_defaults:
    arcodange.sandbox.parity_assert:
      manifest: manifest.yml
      boundary: boundary.yml
      kubeconfig: kubeconfig
      hosts: {pi2: {groups: [postgres], containers: "{{ containers }}"}}
      evidence: {ledger: "{{ playbook_dir }}/ledger.jsonl", waivers: [by hand], deviations: [by hand]}
  tasks:
    - name: Judge what is green, but for what is waived
      arcodange.sandbox.parity_assert: {waiver_file: waivers.yml, report: green.json}
      register: green
    - name: Judge what is red
      arcodange.sandbox.parity_assert: {report: red.json}
      register: red
      ignore_errors: true
    - name: Judge what is red in check mode
      arcodange.sandbox.parity_assert: {report: check.json}
      check_mode: true
      register: checked
      ignore_errors: true
    - name: Judge production
      arcodange.sandbox.parity_assert: {kubeconfig: production, report: production.json}
      register: production
      ignore_errors: true
    - name: Judge what nothing was read of
      arcodange.sandbox.parity_assert: {hosts: {pi2: {groups: [postgres]}}, report: unread.json}
      register: unread
      ignore_errors: true
    - name: Judge what runs and is not well
      arcodange.sandbox.parity_assert:
        waiver_file: waivers.yml
        report: unwell.json
        hosts: {pi2: {groups: [postgres], containers: [{name: pg, project: postgres, service: postgres, image: "postgres:16.3", status: running, health: unhealthy}]}}
        evidence: "{{ omit }}"
      register: unwell
      ignore_errors: true
    - name: Judge with evidence that says another distribution
      arcodange.sandbox.parity_assert:
        waiver_file: waivers.yml
        report: claimed.json
        evidence: {ledger: "{{ playbook_dir }}/ledger.jsonl", distribution: k3s}
      register: claimed
      ignore_errors: true
    - ansible.builtin.assert:
        that:
          - green.verdict == 'green' and not green.changed and green.findings == [] and green.distribution == 'embedded'
          - green.waived | map(attribute='path') | list == ['components/vault/version'] and green.deviations | length == 1
          - green.evidence.verdict == 'green' and green.evidence.sequence == 1
          - red is failed and red.verdict == 'red' and not red.changed
          - red.findings | map(attribute='path') | list == ['components/vault/version']
          - red.msg is match('components/vault/version. expected 1.19.0, found 1.20.0')
          - red.diff.before['components/vault/version'] == '1.19.0' and red.diff.after['components/vault/version'] == '1.20.0'
          - checked is failed and checked.findings == red.findings and checked.evidence is undefined
          - production is failed and production.msg is search('192.0.2.1') and production.msg is search('before anything is sent') and production.findings is undefined
          - unread is failed and unread.msg is search('nothing was read from the Docker engine of pi2')
          - unwell is failed and unwell.findings | map(attribute='path') | list == ['outside/postgresql/hosts/pi2/running']
          - unwell.findings[0].found == 'running, and its health is unhealthy'
          - claimed is failed and claimed.msg is search('measured embedded') and claimed.evidence.verdict == 'red'
`)
	out, err := site.Play(t, "--diff", "gate.yml")
	require.NoError(t, err, out)
	assert.NotContains(t, out, "correct-horse-battery")
	assert.Equal(t, 2, strings.Count(out, `-    "components/vault/version": "1.19.0"`), "the difference is shown of each task that is red:\n%s", out)
	assert.Equal(t, 2, strings.Count(out, `+    "components/vault/version": "1.20.0"`))

	for name, verdict := range map[string]string{"green": "green", "red": "red", "check": "red"} {
		path := filepath.Join(root, name+".json")
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var report struct {
			*kit.Report
			Distribution string
			Versions     map[string]string
		}
		require.NoError(t, json.Unmarshal(data, &report))
		assert.Equal(t, verdict, string(report.Verdict), name)
		assert.Equal(t, "embedded", report.Distribution)
		assert.Equal(t, map[string]string{"kubernetes": "v1.34.3+k3s1.embedded", "vault": "1.20.0", "postgresql": "16.3"}, report.Versions, "as they were measured")
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	entries, err := ledger.Read(filepath.Join(root, "ledger.jsonl"))
	require.NoError(t, err)
	verdicts := []string{}
	for _, entry := range entries {
		verdicts = append(verdicts, string(entry.Verdict))
	}
	assert.Equal(t, []string{"green", "red", "red", "red", "red"}, verdicts, "one that could not be evaluated is kept too, and none of check mode")
	assert.Equal(t, "embedded", entries[0].Distribution, "as it was measured")
	assert.Equal(t, []string{"by hand", "the embedded distribution (v1.34.3+k3s1.embedded) replaces v1.34.3+k3s1"}, entries[0].Deviations)
	require.Len(t, entries[0].Waivers, 2)
	assert.Contains(t, entries[0].Waivers[1], "component components/vault/version until ")
	assert.Equal(t, "embedded", entries[4].Distribution, "whatever the task says")
}
