// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package promotion

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	ledger "github.com/arcodange-org/sandbox/internal/evidence"
)

func TestThePrePushHookOnlyPassesCommitsThatMayReachProduction(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	remote := filepath.Join(l.root, "forge.git")
	l.shell(l.root, "git", "clone", "-q", "--bare", l.repo, remote)
	l.git("remote", "add", "origin", remote)
	l.git("fetch", "-q", "origin")
	hook := filepath.Join(l.root, "ansible_collections/arcodange/sandbox/promotion/pre-push")
	require.NoError(t, os.Symlink(hook, filepath.Join(l.repo, ".git/hooks/pre-push")))
	push := func(words ...string) (string, error) {
		out, err := l.command(l.repo, append([]string{"git", "push", "-q", "origin"}, words...)...).CombinedOutput()
		return strings.Join(strings.Fields(string(out)), " "), err
	}
	there := func(branch string) string { return l.shell(l.root, "git", "-C", remote, "rev-parse", branch) }

	l.change("second", ledger.Green)
	out, err := push("main")
	require.Error(t, err, out)
	assert.Contains(t, out, "promotion.repository is not set")
	for name, value := range map[string]string{"inventory": l.inventory, "repository": "factory", "policy": "promotion.yml", "ledger": l.ledger} {
		l.git("config", "promotion."+name, value)
	}
	out, err = push("main")
	require.NoError(t, err, out)
	assert.Equal(t, l.git("rev-parse", "HEAD"), there("main"))

	l.write("factory/playbooks/word", "third")
	head := l.commit("Third")
	out, err = push("main")
	require.Error(t, err, out)
	assert.Contains(t, out, "idempotence_gate is missing for ansible")
	assert.Contains(t, out, "nothing was pushed")
	assert.NotEqual(t, head, there("main"))

	out, err = push("main:side")
	require.NoError(t, err, "a branch that production does not follow: %s", out)
	out, err = push("main:side", "main")
	require.Error(t, err, out)
	out, err = push("--delete", "main")
	require.Error(t, err, out)
	assert.Contains(t, out, "would be removed")

	l.record(ledger.Green)
	out, err = push("main:side", "main")
	require.NoError(t, err, out)
	assert.Equal(t, head, there("main"))

	l.git("commit", "-q", "--amend", "-m", "Say it otherwise")
	out, err = push("--force", "main")
	require.Error(t, err, out)
	assert.Contains(t, out, "history was rewritten")

	l.git("reset", "-q", "--hard", head)
	l.git("config", "promotion.remote", "elsewhere")
	l.write("factory/bin/x", "x")
	l.commit("Of no class")
	out, err = push("main")
	require.NoError(t, err, "a remote that is not the forge: %s", out)
}

func TestThePrePushHookPassesThePathsOfOtherRepositories(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write("factory/promotion.yml", strings.Replace(policy, "  factory:\n", "  factory:\n    related_repositories: [tools, gitops]\n", 1))
	l.base = l.commit("Ask for two more")
	remote := filepath.Join(l.root, "forge.git")
	l.shell(l.root, "git", "clone", "-q", "--bare", l.repo, remote)
	l.git("remote", "add", "origin", remote)
	require.NoError(t, os.Symlink(filepath.Join(l.root, "ansible_collections/arcodange/sandbox/promotion/pre-push"), filepath.Join(l.repo, ".git/hooks/pre-push")))
	for name, value := range map[string]string{"inventory": l.inventory, "repository": "factory", "policy": "promotion.yml", "ledger": l.ledger} {
		l.git("config", "promotion."+name, value)
	}
	l.change("second", ledger.Green)
	push := func() string {
		out, err := l.command(l.repo, "git", "push", "-q", "origin", "main").CombinedOutput()
		require.Error(t, err, string(out))
		return strings.Join(strings.Fields(string(out)), " ")
	}
	assert.Contains(t, push(), "set its path in related_repositories")
	for _, name := range []string{"tools", "gitops"} {
		other := filepath.Join(l.root, `other "`+name+`"=1`)
		l.shell(l.root, "git", "clone", "-q", remote, other)
		l.git("config", "--add", "promotion.with", name+"="+other)
	}
	out := push()
	assert.NotContains(t, out, "set its path in related_repositories")
	assert.Contains(t, out, "it does not name the repository tools")
}

// workflow is what is read of the example for a forge's CI.
type workflow struct {
	Jobs map[string]struct {
		Env   map[string]string `yaml:"env"`
		Steps []struct {
			Name string            `yaml:"name"`
			Uses string            `yaml:"uses"`
			Run  string            `yaml:"run"`
			With map[string]string `yaml:"with"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// The example's steps are run as they stand; only the checkout is git's own here.
func TestTheWorkflowForAForgeIsRedAndGreen(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	data, err := os.ReadFile("../../promotion/workflow.yml")
	require.NoError(t, err)
	var flow workflow
	require.NoError(t, yaml.Unmarshal(data, &flow))
	job, found := flow.Jobs["promotion"]
	require.True(t, found)

	// The lab's repository, as the example wants it: with an inventory, allowed signers, and a branch with the ledger.
	l.shell(l.root, "cp", "-r", l.inventory, filepath.Join(l.repo, "inventory", "sandbox"))
	l.shell(l.root, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", filepath.Join(l.root, "key"))
	l.write("factory/allowed_signers", "ops@example.org "+l.read(filepath.Join(l.root, "key.pub")))
	base := l.commit("An inventory, and who may sign")
	remote := filepath.Join(l.root, "forge.git")
	l.shell(l.root, "git", "clone", "-q", "--bare", l.repo, remote)
	l.git("remote", "add", "origin", remote)
	l.inventory = filepath.Join(l.repo, "inventory", "sandbox")
	l.key = filepath.Join(l.root, "key")
	clone := filepath.Join(t.TempDir(), "evidence")
	l.shell(l.root, "git", "init", "-q", "-b", "evidence", clone)
	publish := func() { // a commit after the others: the forge takes nothing else
		l.git("push", "-q", "origin", "main")
		l.shell(l.root, "cp", l.ledger, filepath.Join(clone, "ledger.jsonl"))
		l.shell(clone, "git", "add", ".")
		l.shell(clone, "git", "commit", "-q", "--allow-empty", "-m", "The ledger")
		l.shell(clone, "git", "push", "-q", remote, "evidence")
	}
	ci := func(event map[string]string) (string, error) {
		work := filepath.Join(t.TempDir(), "work")
		temp := t.TempDir()
		expression := regexp.MustCompile(`\$\{\{ (.*?) \}\}`)
		expand := func(text string) string {
			return expression.ReplaceAllStringFunc(text, func(whole string) string {
				for name := range strings.SplitSeq(expression.FindStringSubmatch(whole)[1], " || ") {
					if event[name] != "" {
						return event[name]
					}
				}
				return ""
			})
		}
		for _, step := range job.Steps {
			if step.Uses != "" {
				require.True(t, strings.HasPrefix(step.Uses, "actions/checkout@"))
				require.Equal(t, "0", step.With["fetch-depth"])
				l.shell(l.root, "git", "clone", "-q", remote, work)
				l.shell(work, "git", "checkout", "-q", expand(step.With["ref"]))
				continue
			}
			cmd := l.command(work, "bash", "-e", "-o", "pipefail", "-c", expand(step.Run))
			cmd.Env = append(cmd.Env, "RUNNER_TEMP="+temp)
			for name, value := range job.Env {
				cmd.Env = append(cmd.Env, name+"="+expand(value))
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				return strings.Join(strings.Fields(string(out)), " "), err
			}
		}
		return "", nil
	}

	first := l.change("second", ledger.Green)
	publish()
	out, err := ci(map[string]string{"github.event.before": base, "github.sha": first})
	require.NoError(t, err, out)

	l.write("factory/playbooks/word", "third")
	second := l.commit("Third")
	publish()
	out, err = ci(map[string]string{"github.event.before": first, "github.sha": second})
	require.Error(t, err)
	assert.Contains(t, out, "idempotence_gate is missing for ansible")
	out, err = ci(map[string]string{"github.event.before": first, "github.event.pull_request.base.sha": base, "github.event.pull_request.head.sha": first, "github.sha": second})
	require.NoError(t, err, "what a pull request asks for, and not its merge: %s", out)

	l.record(ledger.Green)
	publish()
	out, err = ci(map[string]string{"github.event.before": first, "github.sha": second})
	require.NoError(t, err, out)

	// The runner has seen how far the ledger had come.
	lines := strings.SplitAfter(l.read(l.ledger), "\n")
	require.NoError(t, os.WriteFile(l.ledger, []byte(lines[0]), 0o600))
	publish()
	out, err = ci(map[string]string{"github.event.before": base, "github.sha": first})
	require.Error(t, err)
	assert.Contains(t, out, "had 2 records at the last evaluation")

	// A runner that has seen nothing is told by the branch.
	require.NoError(t, os.Remove(filepath.Join(l.root, "state/arcodange-sandbox/promotion-evaluated")))
	out, err = ci(map[string]string{"github.event.before": base, "github.sha": first})
	require.Error(t, err)
	assert.Contains(t, out, "is not the beginning of the ledger")
	assert.NotContains(t, out, "at the last evaluation")
}
