// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package promotion

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ledger "github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/promotion"
)

func TestTheGateRunsThroughAnsibleAndRecordsItsResult(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change("second", ledger.Green)
	report := filepath.Join(l.root, "report.json")
	gate := func(more ...string) (string, error) {
		out, err := l.play("arcodange.sandbox.gate_promotion", append([]string{"-e", "promotion_report=" + report}, more...)...)
		return strings.Join(strings.Fields(out), " "), err
	}
	judged := func() promotion.Report {
		var r promotion.Report
		require.NoError(t, json.Unmarshal([]byte(l.read(report)), &r))
		info, err := os.Stat(report)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		return r
	}
	kept := []string{"-e", `{"promotion_evidence": {"ledger": "` + l.ledger + `"}}`}

	out, err := gate(kept...)
	require.NoError(t, err, out)
	assert.Equal(t, ledger.Green, judged().Verdict)
	assert.Contains(t, out, "class ansible: 1 file")
	out, err = gate("--check")
	require.NoError(t, err, out)

	l.write("factory/bin/x", "x")
	l.commit("Of no class")
	out, err = gate("-e", `{"sandbox_evidence": {"ledger": "`+l.ledger+`"}}`)
	require.Error(t, err, out)
	assert.Contains(t, out, "red: unclassified: the file bin/x has no class")
	assert.Equal(t, ledger.Red, judged().Verdict)
	out, err = gate("--check")
	require.Error(t, err, "check mode has the same verdict: %s", out)
	assert.Equal(t, []string{"idempotence_gate green", "promotion_gate green", "promotion_gate red"}, l.recorded(), "red too, and nothing in check mode")

	out, err = gate("-e", `{"promotion_ranges": []}`)
	require.Error(t, err, "nothing to check is red: %s", out)
	out, err = gate("-e", `{"promotion_ranges": [{"base": "`+l.base+`", "head": "HEAD~1"}, {"base": "`+l.base+`", "head": "HEAD"}]}`)
	require.Error(t, err, "one of two is red: %s", out)
	out, err = gate("-e", "promotion_path="+filepath.Join(l.root, "nowhere"))
	require.Error(t, err, out)
	out, err = gate("-e", "promotion_state=granted", "-e", "promotion_head=HEAD~1")
	require.Error(t, err, out)
	assert.Contains(t, out, "policy.evidence is not set")
}

func TestAGateCannotBeRecordedByHand(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, what := range []string{"idempotence_gate", "parity_assert", "tofu_plan_gate", "promotion", "Idempotence_Gate ", "later_gate"} {
		out, err := l.command(l.root, filepath.Join(filepath.Dir(l.python), "ansible"), "-i", "localhost,", "-c", "local", "localhost", "-m", "arcodange.sandbox.evidence",
			"-a", `{"state": "recorded", "ledger": "`+l.ledger+`", "what": "`+what+`", "verdict": "green", "summary": "I say so"}`).CombinedOutput()
		require.Error(t, err, string(out))
		assert.Contains(t, string(out), "is the name of a gate")
	}
	assert.Empty(t, l.recorded())
}

// A run out of the working tree, with the guard's own override, and the grant that its policy wants.
func TestAnOverrideThatRequiresEvidenceUsesAGrantOnceAndForThePromotedTreeOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	grant := filepath.Join(l.root, "grant.json")
	l.boundary("policy:\n  evidence: " + grant + "\n")
	l.write("factory/playbooks/local.yml", "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: it runs}\n")
	l.change("second", ledger.Green)
	gate := func() {
		out, err := l.play("arcodange.sandbox.gate_promotion", "-e", "promotion_state=granted")
		require.NoError(t, err, out)
		require.FileExists(t, grant)
	}
	run := func(playbook string) (string, error) {
		out, err := l.command(l.repo, filepath.Join(filepath.Dir(l.python), "ansible-playbook"), "-i", l.inventory, playbook, "-e", "i_mean_prod=true").CombinedOutput()
		return string(out), err
	}
	out, err := run("playbooks/local.yml")
	require.Error(t, err, out)
	assert.Contains(t, out, "grant.json does not exist")

	gate()
	out, err = run("playbooks/local.yml")
	require.NoError(t, err, out)
	assert.Contains(t, out, "it runs")
	out, err = run("playbooks/local.yml")
	require.Error(t, err, out)
	assert.Contains(t, out, "grant.json does not exist", "it counts once")

	l.write("elsewhere.yml", l.read(filepath.Join(l.repo, "playbooks/local.yml")))
	gate()
	out, err = run("../elsewhere.yml")
	require.Error(t, err, out)
	assert.Contains(t, out, "elsewhere.yml is elsewhere")

	gate()
	l.write("factory/playbooks/word", "changed since")
	out, err = run("playbooks/local.yml")
	require.Error(t, err, out)
	assert.Contains(t, out, "which is not the content of")
	l.git("checkout", "-q", ".")

	gate()
	l.record(ledger.Red)
	out, err = run("playbooks/local.yml")
	require.Error(t, err, out)
	assert.Contains(t, out, "does not hold any more")

	out, err = l.play("arcodange.sandbox.gate_promotion", "-e", "promotion_state=granted")
	require.Error(t, err, out)
	assert.NoFileExists(t, grant, "red gives no grant")
}
