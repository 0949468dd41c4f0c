// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/tree"
)

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func TestValidPromotionsPass(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do      func(*lab)
		classes string
	}{
		"a change with its evidence":             {func(l *lab) { l.change("playbooks/site.yml"); l.evidence() }, "ansible"},
		"a change of pages, which needs nothing": {func(l *lab) { l.record("drill_other"); l.change("README.md") }, "docs"},
		"a change of several classes": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.change("roles/longhorn/x.yml")
			l.change("a/b.md")
			l.evidence()
		}, "ansible docs longhorn"},
		"a merge": {func(l *lab) {
			l.git("checkout", "-qb", "side", l.base)
			l.change("roles/dns/x.yml")
			l.git("checkout", "-q", "main")
			l.change("README.md")
			l.git("merge", "-q", "--no-ff", "-m", "Merge", "side")
			l.evidence()
		}, "ansible docs"},
		"a commit whose message alone was amended": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.git("commit", "-q", "--amend", "-m", "Say it better")
		}, "ansible"},
		"green after red": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.record("idempotence_gate", of(evidence.Red))
			l.evidence()
		}, "ansible"},
		"red of another tree afterwards": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.git("checkout", "-qb", "next")
			l.change("playbooks/next.yml")
			l.record("idempotence_gate", of(evidence.Red))
			l.request.Head = "refs/heads/main"
		}, "ansible"},
		"evidence that says for which classes it is": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Classes = []string{"dns", "ansible"} })
		}, "ansible"},
		"the embedded distribution where it is good enough": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) {
				r.Distribution, r.Deviations = "embedded", []string{"kubernetes.distribution: embedded and not k3s"}
			})
		}, "ansible"},
		"a working tree and an index that are somewhere else": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.write("bin/deploy", "x")
			l.git("add", "bin/deploy")
			l.write("promotion.yml", "nonsense")
		}, "ansible"},
		"a detached head": {func(l *lab) { l.change("playbooks/site.yml"); l.evidence(); l.git("checkout", "-q", "--detach") }, "ansible"},
		"a head that is not checked out": {func(l *lab) {
			l.request.Head = l.change("playbooks/site.yml")
			l.evidence()
			l.git("checkout", "-q", l.base)
		}, "ansible"},
		"a policy outside of the repository": {func(l *lab) {
			l.outside(policyText)
			l.name("policy.yml")
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
		"a policy outside of a repository that has none": {func(l *lab) {
			l.git("rm", "-q", "promotion.yml")
			l.request.Base = l.commit("Away")
			l.outside(strings.Replace(policyText, "paths: [/promotion.yml, ", "paths: [", 1))
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
		"the repository's own policy, named by the boundary manifest": {func(l *lab) {
			l.name("factory/promotion.yml")
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
		"an outside policy that the boundary manifest names by a link": {func(l *lab) {
			l.outside(policyText)
			require.NoError(l.t, os.Symlink(l.dir, l.dir+"/again"))
			l.name("again/policy.yml")
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
		"a whole history, for a production that has nothing": {func(l *lab) {
			l.request.Base = strings.Repeat("0", 40)
			l.outside(policyText)
			l.name("policy.yml")
			l.evidence()
		}, "ansible docs longhorn policy"},
		"a bare repository": {func(l *lab) {
			l.request.Head = l.change("playbooks/site.yml")
			l.outside(policyText)
			l.name("policy.yml")
			l.evidence()
			l.request.Path = filepath.Join(l.dir, "bare.git")
			l.shell(l.dir, "git", "clone", "-q", "--bare", l.repo, l.request.Path)
		}, "ansible"},
		"a policy made stricter, and all of it there": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, "max_age: 72h", "max_age: 71h", 1))
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible policy"},
		"signed evidence in a ledger that was copied here": {func(l *lab) {
			l.write("allowed_signers", l.key("ops"))
			l.request.Base = l.commit("Ops may sign")
			l.write("promotion.yml", "signed: true\n"+policyText)
			l.request.Base = l.commit("Ask for signatures")
			l.change("playbooks/site.yml")
			l.evidence()
			l.request.AllowedSigners = filepath.Join(l.repo, "allowed_signers")
			l.request.Ledger, l.request.AllowMissingHead = l.copied(l.lines()), true
			require.NoError(l.t, os.Remove(l.request.Ledger+".head"))
		}, "ansible"},
		"a ledger that was copied here with all versions of its branch": {func(l *lab) {
			l.signed()
			l.branch(nil)
			l.record("drill_other")
			l.branch(l.lines())
			l.branch(l.lines())
			l.change("playbooks/site.yml")
			l.evidence()
			l.branch(l.lines())
			l.record("drill_other") // not there yet
			l.carried(l.lines())
		}, "ansible"},
		"a ledger that was copied here, with a head noted elsewhere": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			entries := l.entries()
			l.request.LedgerHead = fmt.Sprintf("%d:%s", len(entries), entries[len(entries)-1].Hash)
			l.request.Ledger = l.copied(l.lines())
		}, "ansible"},
		"a clock that was behind for a while before": {func(l *lab) {
			l.record("drill_other", ago(time.Hour))
			l.record("drill_other", ago(days(20)))
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
		"the report of the playbook that was asked for": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, "gates: [idempotence_gate]", "gates: [{gate: idempotence_gate, report: {subject: playbooks/site.yml, product: Ansible}}]", 1))
			l.request.Base = l.commit("Ask for the playbook")
			l.change("playbooks/site.yml")
			l.evidence(l.report(`{"subject": "/x/factory/playbooks/site.yml", "subject_in": {"repository": "factory", "path": "playbooks/site.yml"}, "product": "Ansible"}`))
		}, "ansible"},
		"the report of a playbook of another repository that the policy names": {func(l *lab) {
			l.together()
			l.write("promotion.yml", strings.Replace(l.read("promotion.yml"), "gates: [idempotence_gate]", "gates: [{gate: idempotence_gate, report: {subject: site.yml}, in: gitops}]", 1))
			l.request.Base = l.commit("Ask for the playbook")
			other := newLab(l.t)
			l.request.Related = map[string]string{"gitops": other.repo}
			l.change("playbooks/site.yml")
			l.evidence(l.report(`{"subject_in": {"repository": "gitops", "path": "site.yml"}}`), func(r *evidence.Record) {
				r.Trees = append(r.Trees, tree.State{Repository: "gitops", Tree: other.git("rev-parse", "HEAD^{tree}")})
			})
		}, "ansible"},
		"a base that was promoted last": {func(l *lab) {
			l.request.RequireDescendant = true
			l.record("promotion", promoted(l.base))
			l.request.Base = l.change("roles/longhorn/x.yml")
			l.record("promotion", promoted(l.request.Base))
			l.record("promotion", promoted(l.base), func(r *evidence.Record) { r.Trees[0].Repository = "tools" })
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
		"a base before what was promoted last": {func(l *lab) {
			l.request.RequireDescendant = true
			l.record("promotion", promoted(l.change("roles/longhorn/x.yml")))
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible longhorn"},
		"a narrowed gate where the policy lets that through": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, `deviations: ["kubernetes.distribution*"]`, `waivers: ["narrowed: limit vm*"]`, 1))
			l.request.Base = l.commit("Let a limit through")
			l.change("playbooks/site.yml")
			l.evidence(waived("narrowed: limit vm1, vm2"))
		}, "ansible"},
		"the report of any root of the repository": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, "gates: [idempotence_gate]", "gates: [{gate: idempotence_gate, in: factory}]", 1))
			l.request.Base = l.commit("Ask for the repository")
			l.change("playbooks/site.yml")
			l.evidence(l.report(`{"subject_in": {"repository": "factory", "path": "erp/iac"}}`))
		}, "ansible"},
		"another repository where it has to be": {func(l *lab) {
			l.together()
			other := newLab(l.t)
			l.request.Related = map[string]string{"gitops": other.repo}
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) {
				r.Trees = append(r.Trees, tree.State{Repository: "gitops", Tree: other.git("rev-parse", "HEAD^{tree}")})
			})
		}, "ansible"},
		"a boundary manifest and an inventory of the repository": {func(l *lab) {
			l.write("playbooks/inventory/hosts.yml", "all:\n")
			l.write("playbooks/inventory/bin/run", "#!/bin/sh\n")
			require.NoError(l.t, os.Chmod(filepath.Join(l.repo, "playbooks/inventory/bin/run"), 0o775))
			l.write("playbooks/inventory/boundary.yml", boundaryText)
			l.commit("An inventory")
			l.request.Boundary = filepath.Join(l.repo, "playbooks/inventory/boundary.yml")
			l.request.Inventory = filepath.Join(l.repo, "playbooks/inventory")
			digest, err := evidence.Digest(l.request.Inventory)
			require.NoError(l.t, err)
			l.evidence(func(r *evidence.Record) { r.Inventory = digest })
			l.write("playbooks/inventory/hosts.yml", "not committed\n")
		}, "ansible"},
		"a repository that hashes with SHA-256": {func(l *lab) {
			require.NoError(l.t, os.RemoveAll(l.repo))
			l.shell(l.dir, "git", "init", "-q", "-b", "main", "--object-format=sha256", l.repo)
			for _, path := range []string{"README.md", "playbooks/site.yml", "roles/dns/x", "roles/longhorn/x", "allowed_signers"} {
				l.write(path, "x\n")
			}
			l.write("promotion.yml", policyText)
			l.request.Base = l.commit("What production has")
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ansible"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			c.do(l)
			report := l.evaluate()
			assert.Empty(t, report.Findings)
			assert.Equal(t, evidence.Green, report.Verdict)
			assert.Empty(t, report.Missing)
			assert.Equal(t, c.classes, strings.Join(report.Classes, " "))
			assert.Len(t, report.Matched, len(report.Required))
			assert.Contains(t, report.Summary(), "the ledger holds all that is required")
		})
	}
}

func TestTheReportHasTheRequirementsAndTheRecords(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change("playbooks/site.yml")
	l.git("mv", "roles/dns/tasks/main.yml", "roles/dns/tasks/new name.yml")
	head := l.commit("Rename")
	l.record("parity_assert")
	entry := l.record("idempotence_gate", ago(time.Hour))
	report := l.evaluate()
	assert.Equal(t, evidence.Green, report.Verdict)
	assert.Equal(t, head, report.Head)
	assert.Equal(t, l.base, report.Base)
	assert.Equal(t, l.git("rev-parse", "HEAD^{tree}"), report.Tree)
	assert.Equal(t, 2, report.Commits)
	assert.Equal(t, []touchedFile{
		{Path: "playbooks/site.yml", Classes: []string{"ansible"}, Commits: 1, Net: true},
		{Path: "roles/dns/tasks/main.yml", Classes: []string{"ansible"}, Commits: 1, Net: true},
		{Path: "roles/dns/tasks/new name.yml", Classes: []string{"ansible"}, Commits: 1, Net: true},
	}, report.Files)
	assert.Equal(t, []policyVersion{{Of: "base", SHA256: sum(policyText)}}, report.Policies)
	require.Len(t, report.Required, 1)
	assert.Equal(t, "idempotence_gate", report.Required[0].Need.Name)
	require.Len(t, report.Matched, 1)
	assert.Equal(t, entry.Hash, report.Matched[0].Hash)
	assert.Equal(t, 2, report.Matched[0].Sequence)
	assert.True(t, strings.HasPrefix(report.Matched[0].Age, "1h0m"), report.Matched[0].Age)
	assert.Equal(t, evidence.Head{Sequence: 2, Hash: entry.Hash}, report.LedgerHead)
	assert.Contains(t, strings.Join(report.Text(), "\n"), "found idempotence_gate for ansible: record 2 of ")

	l.record("idempotence_gate", of(evidence.Red))
	report = l.evaluate()
	assert.Equal(t, evidence.Red, report.Verdict)
	assert.Equal(t, []missingRecord{{Policy: "base", Class: "ansible", What: "idempotence_gate", Nearest: 2,
		Reason: "record 2 does not count: record 3 after it, of the same tree, is red"}}, report.Missing)
	assert.Contains(t, report.Text(), "red: evidence: idempotence_gate is missing for ansible: record 2 does not count: record 3 after it, of the same tree, is red")
}

func TestTheFirstCommitOfAHistoryTouchesItsFilesToo(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.request.Base = strings.Repeat("0", 40)
	l.change("README.md")
	commits := map[string]int{}
	for _, f := range l.evaluate().Files {
		commits[f.Path] = f.Commits
	}
	assert.Equal(t, 2, commits["README.md"])
	assert.Equal(t, 1, commits["playbooks/site.yml"])
}

func TestACancelledEvaluationHasNoVerdict(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err := l.gate.Evaluate(ctx, l.request)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestGitOutputIsParsedOrRefused(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 40)
	meta := ":100644 100644 " + hash + " " + hash + " M\x00"
	read := func(text string) (string, error) {
		var out []string
		err := changes([]byte(text), func(commit, path string) { out = append(out, commit[:min(1, len(commit))]+path) })
		return strings.Join(out, "|"), err
	}
	got, err := read(hash + "\x00" + meta + ":x y\x00" + meta + hash + "\x00" + meta + "\n\xff\x00")
	require.NoError(t, err)
	assert.Equal(t, "a:x y|a"+hash+"|a\n\xff", got, "a path may look like anything")
	for _, text := range []string{"x", "x\x00", meta, meta + "path", meta + "\x00", ":1 2 3 4 M\x00p\x00", strings.Replace(meta, " M", " R100", 1) + "p\x00q\x00",
		strings.Replace(meta, " M", " U", 1) + "p\x00", hash} {
		_, err := read(text)
		assert.Error(t, err, "%q", text)
	}
}

func FuzzWhatGitSaysIsReadWithoutAPanic(f *testing.F) {
	hash := strings.Repeat("a", 40)
	f.Add([]byte(hash + "\x00:100644 100644 " + hash + " " + hash + " M\x00path\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = changes(text, func(_, path string) { assert.NotEmpty(t, path) })
	})
}
