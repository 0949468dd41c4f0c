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
	"github.com/arcodange-org/sandbox/internal/tree"
)

func TestAPromotionRunsThePlaybookFromTheCheckedTree(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.boundary("policy:\n  evidence: " + filepath.Join(l.root, "grant.json") + "\n")
	head := l.change("second", ledger.Green)
	// What is in the working tree afterwards was not checked.
	l.write("factory/playbooks/word", "unjudged")
	l.write("factory/ansible.cfg", "[defaults]\nforks = 9\n")

	out, err := l.promote("--check", "-e", "i_mean_prod=true")
	require.NoError(t, err, out)
	assert.Contains(t, out, "found idempotence_gate for ansible: record 1")
	assert.Contains(t, out, "nothing was run in check mode")
	assert.Empty(t, l.read(l.mark))
	assert.Equal(t, []string{"idempotence_gate green"}, l.recorded(), "check mode writes nothing")
	assert.Empty(t, l.read(filepath.Join(l.root, "state/arcodange-sandbox/overrides.log")))

	out, err = l.promote("-e", "i_mean_prod=true", "-e", "promotion_log="+filepath.Join(l.root, "run.log"))
	require.NoError(t, err, out)
	assert.Contains(t, out, "tail -f "+filepath.Join(l.root, "run.log"))
	mark := l.read(l.mark)
	for _, line := range []string{"said hello", "word second", "vault s.production", "config 5"} {
		assert.Contains(t, mark, line+"\n")
	}
	assert.Contains(t, mark, "boundary \n", "nothing of the sandbox's is passed on")
	assert.Contains(t, mark, "first "+filepath.Dir(l.python)+"\n", "nor the guard's ssh")
	assert.Contains(t, l.read(filepath.Join(l.root, "run.log")), "Leave a mark")
	assert.NotContains(t, out, "s.production")
	assert.Equal(t, []string{"idempotence_gate green", "promotion_gate green", "promotion green"}, l.recorded())
	entries, err := ledger.Read(l.ledger)
	require.NoError(t, err)
	content := l.git("rev-parse", head+"^{tree}")
	assert.Equal(t, []tree.State{{Repository: "factory", Commit: head, Tree: content}}, entries[2].Trees)
	var written struct {
		Grant, Tree, Repository string
		Command                 []string
	}
	require.NoError(t, json.Unmarshal([]byte(l.read(filepath.Join(l.root, "state/arcodange-sandbox/overrides.log"))), &written))
	assert.Equal(t, content, written.Tree)
	assert.Equal(t, "factory", written.Repository)
	assert.Len(t, written.Grant, 32)
	assert.Contains(t, written.Command, "i_mean_prod=true")
	assert.NoFileExists(t, filepath.Join(l.root, "grant.json"), "it counts once")
	left, err := os.ReadDir(filepath.Join(l.root, "state/arcodange-sandbox/promotions"))
	require.NoError(t, err)
	assert.Empty(t, left, "the tree is removed")
}

func TestAPromotionThatMustNotBeStartsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(*lab)
		more []string
		says string
		kept string // the last record
	}{
		"i_mean_prod is not set": {nil, nil, "i_mean_prod is not set", "promotion red"},
		"production is meant by a file of variables": {func(l *lab) { l.write("vars.yml", "i_mean_prod: true\n") }, []string{"-e", "@../vars.yml"},
			"i_mean_prod comes from a file of variables", "promotion red"},
		"production is meant by group_vars": {func(l *lab) { l.write("sandbox/group_vars/all.yml", "i_mean_prod: true\n") }, nil,
			"i_mean_prod is not set", "promotion red"},
		"i_mean_prod is no truth": {nil, []string{"-e", "i_mean_prod=1"}, "which is not true", "promotion red"},
		"the evidence is red":     {func(l *lab) { l.record(ledger.Red) }, []string{"-e", "i_mean_prod=true"}, "is red", "promotion_gate red"},
		"the evidence is of another tree": {func(l *lab) { l.write("factory/playbooks/word", "third"); l.commit("Third") }, []string{"-e", "i_mean_prod=true"},
			"it is about the tree", "promotion_gate red"},
		"the cluster's name is not typed": {func(l *lab) { l.boundary("policy:\n  cluster_name: lab\n"); l.record(ledger.Green) },
			[]string{"-e", "i_mean_prod=true"}, "requires the production cluster's name typed in", "promotion red"},
		"a token is missing": {func(l *lab) { l.boundary("policy:\n  token_expiry: 10m\n"); l.record(ledger.Green) },
			[]string{"-e", "i_mean_prod=true"}, "requires a fresh token", "promotion red"},
		"the playbook is not in the tree": {nil, []string{"-e", "i_mean_prod=true", "-e", "promotion_playbook=playbooks/gone.yml"}, "is not in the tree", "promotion red"},
		"the playbook lies elsewhere": {nil, []string{"-e", "i_mean_prod=true", "-e", "promotion_playbook=/elsewhere/site.yml"},
			"not in the tree", "promotion_gate green"},
		"the inventory lies elsewhere": {nil, []string{"-e", "i_mean_prod=true", "-e", "promotion_production_inventory=../sandbox"},
			"not in the tree", "promotion_gate green"},
		"an argument would change what is run": {nil, []string{"-e", "i_mean_prod=true", "-e", `{"promotion_arguments": ["-e", "mark=/elsewhere"]}`},
			"may change what is run", "promotion_gate green"},
		"the environment would change what is run": {nil, []string{"-e", "i_mean_prod=true", "-e", `{"promotion_environment": {"ANSIBLE_CONFIG": "/elsewhere.cfg"}}`},
			"it would replace ansible.cfg of the tree", "promotion_gate green"},
		"the head is no commit, and the guard is skipped": {nil, []string{"-e", "i_mean_prod=true", "--skip-tags", "always", "-e", "promotion_head=" + strings.Repeat("1", 40)},
			"is not a commit of this repository", "promotion_gate red"},
		"the sandbox's inventory leads to production": {func(l *lab) { l.write("sandbox/hosts.yml", "all: {hosts: {pi1: {ansible_host: 192.0.2.1}}}\n") },
			[]string{"-e", "i_mean_prod=true"}, "192.0.2.1", "idempotence_gate green"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.change("second", ledger.Green)
			if c.do != nil {
				c.do(l)
			}
			out, err := l.promote(c.more...)
			require.Error(t, err, out)
			assert.Contains(t, strings.Join(strings.Fields(out), " "), c.says)
			assert.Empty(t, l.read(l.mark), "nothing of production's was run")
			recorded := l.recorded()
			assert.Equal(t, c.kept, recorded[len(recorded)-1])
			assert.Empty(t, l.read(filepath.Join(l.root, "state/arcodange-sandbox/overrides.log")))
		})
	}
}

func TestAPromotionThatFailsIsRedAndSaysSo(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change("fail", ledger.Green)
	// By its path, it is the same playbook.
	l.promotion = filepath.Join(l.root, "ansible_collections/arcodange/sandbox/playbooks/promote.yml")
	out, err := l.promote("-e", "i_mean_prod=true")
	require.Error(t, err, out)
	assert.Contains(t, strings.Join(strings.Fields(out), " "), "playbooks/site.yml ended with status 2")
	assert.Contains(t, l.read(l.mark), "word fail")
	assert.Equal(t, []string{"idempotence_gate green", "promotion_gate green", "promotion red"}, l.recorded())
}

// As part of another playbook it is not known for a promotion, so the guard lets all of the run leave the sandbox.
func TestAPromotionInsideAnotherPlaybookIsNotStarted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change("second", ledger.Green)
	l.write("wrapper.yml", "- ansible.builtin.import_playbook: arcodange.sandbox.promote\n")
	l.promotion = filepath.Join(l.root, "wrapper.yml")
	out, err := l.promote("-e", "i_mean_prod=true")
	require.Error(t, err, out)
	assert.Contains(t, strings.Join(strings.Fields(out), " "), "run promote.yml by itself")
	assert.NoFileExists(t, l.mark)
}
