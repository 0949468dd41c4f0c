// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// mildPolicy wants nothing of anything.
const mildPolicy = `
repositories:
  factory:
    classes:
      - class: all
        paths: ["**"]
classes:
  all:
    exempt: It is late
`

// Changes of a record.
func of(verdict evidence.Verdict) func(*evidence.Record) {
	return func(r *evidence.Record) { r.Verdict = verdict }
}
func at(when time.Time) func(*evidence.Record) { return func(r *evidence.Record) { r.Time = when } }
func ago(age time.Duration) func(*evidence.Record) {
	return at(time.Now().Add(-age))
}

// lines are those of the lab's ledger.
func (l *lab) lines() []string {
	l.t.Helper()
	data, err := os.ReadFile(l.request.Ledger)
	require.NoError(l.t, err)
	return strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
}

func (l *lab) put(path string, lines ...string) {
	l.t.Helper()
	require.NoError(l.t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
}

// anew writes the ledger anew without the heads that told of it.
func (l *lab) anew(records ...evidence.Entry) {
	l.t.Helper()
	require.NoError(l.t, os.Remove(l.request.Ledger))
	for _, head := range l.heads() {
		require.NoError(l.t, os.Remove(head))
	}
	book, err := evidence.Open(l.request.Ledger)
	require.NoError(l.t, err)
	for _, entry := range records {
		_, err := book.Append(context.Background(), entry.Record, l.sign)
		require.NoError(l.t, err)
	}
}

func (l *lab) heads() []string {
	l.t.Helper()
	heads := []string{l.request.Ledger + ".head"}
	anchors, err := evidence.DefaultAnchors(os.Getenv)
	require.NoError(l.t, err)
	all, err := filepath.Glob(filepath.Join(anchors, "*.head"))
	require.NoError(l.t, err)
	mine, err := os.ReadFile(heads[0])
	require.NoError(l.t, err)
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && bytes.Equal(text, mine) {
			heads = append(heads, path)
		}
	}
	return heads
}

func (l *lab) entries() []evidence.Entry {
	l.t.Helper()
	entries, err := evidence.Read(l.request.Ledger)
	require.NoError(l.t, err)
	return entries
}

// Each of these is one attempt to have something promoted that must not be.
// Without the attempt itself, the lab is green: see the honest ones.
func TestEveryAttemptToCheatIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	cheats := map[string]struct {
		cheat func(*lab)
		rule  string
		says  string
	}{
		// Evidence that is not of what would run.
		"evidence of the commit before": {func(l *lab) { l.change("playbooks/site.yml"); l.evidence(); l.change("playbooks/site.yml") },
			"evidence", "it is about the tree"},
		"evidence of another branch": {func(l *lab) {
			l.git("checkout", "-qb", "other")
			l.change("playbooks/other.yml")
			l.evidence()
			l.git("checkout", "-q", "main")
			l.change("playbooks/site.yml")
		}, "evidence", "it is about the tree"},
		"a commit amended after its evidence": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.write("playbooks/site.yml", "amended\n")
			l.git("commit", "-qa", "--amend", "--no-edit")
		}, "evidence", "it is about the tree"},
		"a file renamed after its evidence": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.git("mv", "playbooks/site.yml", "playbooks/new.yml")
			l.commit("Rename")
		}, "evidence", "it is about the tree"},
		"a file renamed into a class that asks for less": {func(l *lab) {
			l.git("mv", "roles/longhorn/tasks/main.yml", "roles/longhorn.md")
			l.write("roles/longhorn/keep", "x")
			l.commit("Call it documentation")
			l.record("idempotence_gate")
		}, "evidence", "parity_assert is missing for longhorn"},
		"a file renamed in case alone": {func(l *lab) {
			l.git("mv", "playbooks/site.yml", "playbooks/tmp")
			l.git("mv", "playbooks/tmp", "Playbooks.yml")
			l.write("playbooks/keep.yml", "x")
			l.commit("Change case")
			l.evidence()
		}, "unclassified", "Playbooks.yml has no class"},
		"a mode changed after the evidence": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			require.NoError(l.t, os.Chmod(filepath.Join(l.repo, "playbooks/site.yml"), 0o755))
			l.commit("Mode")
		}, "evidence", "it is about the tree"},
		"a file that became a link after the evidence": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			require.NoError(l.t, os.Remove(filepath.Join(l.repo, "playbooks/site.yml")))
			require.NoError(l.t, os.Symlink("/elsewhere.yml", filepath.Join(l.repo, "playbooks/site.yml")))
			l.commit("Link")
		}, "evidence", "it is about the tree"},
		"evidence of a dirty tree that was committed later": {func(l *lab) {
			l.write("playbooks/site.yml", "not yet committed\n")
			l.evidence()
			l.commit("Now it is")
		}, "evidence", "that was not committed"},
		"evidence of a dirty tree": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.write("playbooks/untracked.yml", "x\n")
			l.evidence()
		}, "evidence", "it is about the tree"},
		"evidence while assume-unchanged hid a change": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.git("update-index", "--assume-unchanged", "playbooks/site.yml")
			l.write("playbooks/site.yml", "what really ran\n")
			l.evidence()
		}, "evidence", "it is about the tree"},
		"evidence of a repository of another name with the same tree": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Trees[0].Repository = "fork" })
		}, "evidence", "does not name the repository factory"},
		"evidence that tells of the repository twice": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) {
				r.Trees = append(r.Trees, tree.State{Repository: "factory", Tree: strings.Repeat("1", 40)})
			})
		}, "evidence", "factory twice"},
		"no evidence at all": {func(l *lab) { l.change("playbooks/site.yml"); l.record("drill_other") }, "evidence", "holds no record of it"},
		"evidence of another gate": {func(l *lab) { l.change("playbooks/site.yml"); l.record("tofu_plan_gate") },
			"evidence", "idempotence_gate is missing for ansible"},
		"a drill instead of a gate": {func(l *lab) { l.change("playbooks/site.yml"); l.record("drill_idempotence_gate") },
			"evidence", "idempotence_gate is missing for ansible"},
		"two gates where a drill is wanted too": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.record("idempotence_gate")
			l.record("parity_assert")
		}, "evidence", "drill_longhorn_orphans is missing for longhorn"},
		"evidence with another boundary manifest": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			require.NoError(l.t, os.WriteFile(l.request.Boundary, []byte("# Otherwise\n"+boundaryText), 0o600))
		}, "evidence", "run with another boundary manifest"},
		"evidence without a boundary manifest": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Boundary = "" })
		}, "evidence", "does not name the boundary manifest"},
		"evidence with another parity manifest": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.request.Manifest = l.request.Boundary
			l.evidence(func(r *evidence.Record) { r.Manifest = strings.Repeat("a", 64) })
		}, "evidence", "run with another parity manifest"},

		// Evidence that is not good enough.
		"old evidence": {func(l *lab) { l.change("playbooks/site.yml"); l.evidence(ago(days(3) + time.Minute)) }, "evidence", "old, and may be 72h"},
		"red evidence": {func(l *lab) { l.change("playbooks/site.yml"); l.evidence(of(evidence.Red)) }, "evidence", "it is red"},
		"a green run before a red one": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
		},
			"evidence", "record 4 after it, of the same tree, is red"},
		"a red run that says it was for another class": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red), func(r *evidence.Record) { r.Classes = []string{"docs"} })
		}, "evidence", "record 4 after it, of the same tree, is red"},
		"a red run of the same tree, not yet committed": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red), func(r *evidence.Record) { r.Trees[0].Dirty = true; r.Trees[0].Commit = l.base })
		}, "evidence", "record 4 after it, of the same tree, is red"},
		"evidence for another class": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Classes = []string{"docs", "dns"} })
		}, "evidence", "it was run for docs, dns"},
		"evidence of the embedded distribution for Longhorn": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.evidence(func(r *evidence.Record) { r.Distribution = "embedded" })
		}, "evidence", "the distribution embedded is not accepted; the policy accepts k3s"},
		"evidence of the small sandbox": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Mode = "k3d" })
		}, "evidence", "the mode k3d is not accepted; the policy accepts vm"},
		"evidence that does not say in which sandbox": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.evidence(func(r *evidence.Record) { r.Mode, r.Distribution = "", "" })
		}, "evidence", "does not name the mode"},
		"evidence with a waiver in force": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Waivers = []string{"components.vault"} })
		}, "evidence", `the waiver "components.vault" was in force`},
		"evidence with a deviation that is not let through": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) { r.Deviations = []string{"kubernetes.distribution: embedded", "nodes: 2"} })
		}, "evidence", `the deviation "nodes: 2" was in force`},
		"a gate that was narrowed to some hosts": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(waived("narrowed: limit localhost"))
		}, "evidence", `the waiver "narrowed: limit localhost" was in force`},
		"a gate that was narrowed to some tasks": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(waived("narrowed: tags never"))
		}, "evidence", `the waiver "narrowed: tags never" was in force`},
		"a gate that left tasks out": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(waived("narrowed: skip_tags site"))
		}, "evidence", `the waiver "narrowed: skip_tags site" was in force`},
		"a gate with skip_tags": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(waived("skip Write the configuration: it takes long"))
		}, "evidence", `the waiver "skip Write the configuration: it takes long" was in force`},
		"a gate with waivers": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(waived("ignore /etc: it moves"))
		}, "evidence", `the waiver "ignore /etc: it moves" was in force`},
		"a plan gate that let a deletion through": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(waived("allowed terraform_data.a delete: meant"))
		}, "evidence", `the waiver "allowed terraform_data.a delete: meant" was in force`},
		"a gate that was narrowed more than the policy lets through": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, `deviations: ["kubernetes.distribution*"]`, `waivers: ["narrowed: limit vm*"]`, 1))
			l.request.Base = l.commit("Let a limit through")
			l.change("playbooks/site.yml")
			l.evidence(waived("narrowed: limit vm1", "narrowed: tags never"))
		}, "evidence", `the waiver "narrowed: tags never" was in force`},
		"a narrowed gate that says it was a deviation that is let through": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, `deviations: ["kubernetes.distribution*"]`, `deviations: any`, 1))
			l.request.Base = l.commit("Let deviations through")
			l.change("playbooks/site.yml")
			l.evidence(waived("narrowed: limit localhost"))
		}, "evidence", `the waiver "narrowed: limit localhost" was in force`},
		"a gate over a playbook that does nothing": {func(l *lab) {
			l.asks("report: {subject: playbooks/site.yml}")
			l.evidence(l.report(`{"subject": "/x/playbooks/nothing.yml", "subject_in": {"repository": "factory", "path": "playbooks/nothing.yml"}}`))
		}, "evidence", `is about playbooks/nothing.yml of factory, and has to be about playbooks/site.yml of factory`},
		"a gate over a playbook of that name that lies in no repository": {func(l *lab) {
			l.asks("report: {subject: playbooks/site.yml}")
			l.evidence(l.report(`{"playbook": "/tmp/empty/playbooks/site.yml"}`))
		}, "evidence", `does not name the repository of its subject`},
		"a gate over a playbook of that name in another folder": {func(l *lab) {
			l.asks("report: {subject: site.yml}")
			l.evidence(l.report(`{"subject": "/x/empty/site.yml", "subject_in": {"repository": "factory", "path": "empty/site.yml"}}`))
		}, "evidence", `is about empty/site.yml of factory, and has to be about site.yml of factory`},
		"a gate over a playbook of that name in another repository": {func(l *lab) {
			l.asks("report: {subject: playbooks/site.yml}")
			l.evidence(l.report(`{"subject_in": {"repository": "empty", "path": "playbooks/site.yml"}}`))
		}, "evidence", `of empty, and has to be about playbooks/site.yml of factory`},
		"a gate over a root of another repository": {func(l *lab) {
			l.asks("in: factory")
			l.evidence(l.report(`{"subject_in": {"repository": "empty", "path": "iac"}}`))
		}, "evidence", `is about iac of empty, and has to be about one of factory`},
		"a gate over what lies in no repository": {func(l *lab) {
			l.asks("in: factory")
			l.evidence(l.report(`{"root": "/tmp/empty"}`))
		}, "evidence", `does not name the repository of its subject`},
		"a gate over a repository of which no tree is asked": {func(l *lab) {
			l.asks("in: gitops")
			l.evidence(l.report(`{"subject_in": {"repository": "gitops", "path": "iac"}}`))
		}, "evidence", `does not list under related_repositories of factory`},
		"a report that ends with what is asked": {func(l *lab) {
			l.asks("report: {product: OpenTofu}")
			l.evidence(l.report(`{"product": "not/OpenTofu"}`))
		}, "evidence", `has "not/OpenTofu" for product, and has to have OpenTofu`},
		"a report that was edited": {func(l *lab) {
			l.asks("report: {subject: playbooks/site.yml}")
			l.evidence(l.report(`{"subject_in": {"repository": "factory", "path": "playbooks/nothing.yml"}}`))
			l.put(filepath.Join(l.dir, "report.json"), `{"subject_in": {"repository": "factory", "path": "playbooks/site.yml"}}`)
		}, "evidence", "differs from the one that was recorded"},

		// The ledger.
		"an edited ledger": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(of(evidence.Red))
			l.put(l.request.Ledger, strings.ReplaceAll(strings.Join(l.lines(), ""), `"red"`, `"green"`)+"\n")
		}, "ledger", "record 1 (line 1) was changed"},
		"red followed by deleted red": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
			l.put(l.request.Ledger, l.lines()[:3]...)
		}, "ledger", "record 4 was removed"},
		"a red record taken out of the middle": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
			l.record("drill_other")
			lines := l.lines()
			l.put(l.request.Ledger, append(lines[:3:3], lines[4]+"\n")...)
		}, "ledger", "record 4 was removed"},
		"records put in another order": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.record("idempotence_gate")
			l.record("idempotence_gate", of(evidence.Red))
			l.record("drill_other")
			lines := l.lines()
			l.put(l.request.Ledger, lines[1], lines[0], lines[2]+"\n")
		}, "ledger", "is in line"},
		"a record written twice": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			lines := l.lines()
			l.put(l.request.Ledger, append(lines, "\n"+lines[0])...)
		}, "ledger", "is in line 1 and again in line 4"},
		"a ledger written anew, with one head left behind": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
			heads, green := l.heads(), l.entries()[:3]
			require.Len(l.t, heads, 2)
			anchor, err := os.ReadFile(heads[1])
			require.NoError(l.t, err)
			l.anew(green...)
			l.put(heads[1], string(anchor))
		}, "ledger", "record 4 was removed"},
		"a ledger written anew, heads and all, against a head noted elsewhere": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
			noted := l.entries()[3]
			l.request.LedgerHead = "4:" + noted.Hash
			l.anew(l.entries()[:3]...)
		}, "ledger", "record 4 was removed"},
		"a ledger copied elsewhere and cut there": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
			l.request.Ledger, l.request.AllowMissingHead = l.copied(l.lines()[:3]), true
		}, "ledger", "has no head outside of its folder"},
		"a signed ledger that was copied here, and truncated since it was evaluated": {func(l *lab) {
			l.request.AllowedSigners = filepath.Join(l.dir, "allowed")
			l.put(l.request.AllowedSigners, l.key("ops"))
			l.change("playbooks/site.yml")
			l.evidence()
			l.record("idempotence_gate", of(evidence.Red))
			lines := l.lines()
			l.request.Ledger, l.request.AllowMissingHead = l.copied(lines), true
			require.NoError(l.t, l.gate.Note(context.Background(), l.evaluate()))
			l.request.Ledger = l.copied(lines[:3])
		}, "ledger", "had 4 records at the last evaluation"},
		"a witness that cannot be read": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.put(l.gate.Witness, "{")
		}, "clock", "witness of the last evaluation"},
		"a ledger without a head": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			for _, head := range l.heads() {
				require.NoError(l.t, os.Remove(head))
			}
		}, "ledger", "records may have been removed at the end"},
		"a ledger that is not there": {func(l *lab) { l.change("playbooks/site.yml"); l.request.Ledger += ".gone" },
			"ledger", "holds no record"},
		"a ledger that is a link": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			require.NoError(l.t, os.Rename(l.request.Ledger, l.request.Ledger+".real"))
			require.NoError(l.t, os.Symlink(l.request.Ledger+".real", l.request.Ledger))
		}, "ledger", "reading the ledger"},
		"evidence signed by a key that is not known": {func(l *lab) {
			allowed := l.key("ops")
			l.change("playbooks/site.yml")
			l.key("stranger")
			l.evidence()
			l.request.AllowedSigners = filepath.Join(l.dir, "allowed")
			l.put(l.request.AllowedSigners, allowed)
		}, "ledger", "is signed by a key that is not allowed"},
		"evidence that is not signed where it has to be": {func(l *lab) {
			l.request.AllowedSigners = filepath.Join(l.dir, "allowed")
			l.put(l.request.AllowedSigners, l.key("ops"))
			l.sign = nil
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ledger", "carries no signature"},
		"a policy that requires signatures, without allowed signers": {func(l *lab) {
			l.write("promotion.yml", "signed: true\n"+policyText)
			l.request.Base = l.commit("Ask for signatures")
			l.change("playbooks/site.yml")
			l.evidence()
		}, "ledger", "set allowed_signers"},
		"a signer let in by the range itself": {func(l *lab) {
			l.write("allowed_signers", l.key("ops"))
			l.request.Base = l.commit("Ops may sign")
			l.request.AllowedSigners = filepath.Join(l.repo, "allowed_signers")
			l.write("allowed_signers", l.key("stranger"))
			l.commit("A stranger may sign")
			l.evidence()
		}, "ledger", "is signed by a key that is not allowed"},

		"red followed by deleted red, on a branch, for who never saw it": {func(l *lab) {
			l.signed()
			l.change("playbooks/site.yml")
			l.evidence()
			lines := l.branch(l.lines())
			l.record("idempotence_gate", of(evidence.Red))
			l.branch(l.lines())
			l.branch(lines)
			l.carried(lines)
		}, "ledger", "is not the beginning of the ledger"},
		"a red record cut out of a branch, and others put behind it": {func(l *lab) {
			l.signed()
			l.change("playbooks/site.yml")
			l.record("idempotence_gate", of(evidence.Red))
			l.branch(l.lines())
			l.anew()
			l.evidence()
			l.carried(l.branch(l.lines()))
		}, "ledger", "is not the beginning of the ledger"},
		"a red record on a side that a merge left behind": {func(l *lab) {
			l.signed()
			l.change("playbooks/site.yml")
			l.evidence()
			lines := l.branch(l.lines())
			l.record("idempotence_gate", of(evidence.Red))
			green := l.git("rev-parse", "evidence")
			l.branch(l.lines())
			l.git("update-ref", "refs/heads/evidence", l.git("commit-tree", "-p", green, "-p", "evidence", "-m", "Merge", green+"^{tree}"))
			l.carried(lines)
		}, "ledger", "is not the beginning of the ledger"},
		"a ledger that is behind its branch": {func(l *lab) {
			l.signed()
			l.change("playbooks/site.yml")
			l.evidence()
			lines := l.lines()
			l.record("idempotence_gate", of(evidence.Red))
			l.branch(l.lines())
			l.carried(lines)
		}, "ledger", "is not the beginning of the ledger"},
		"a ledger taken off its branch": {func(l *lab) {
			l.signed()
			l.change("playbooks/site.yml")
			l.evidence()
			lines := l.branch(l.lines())
			l.branch(nil)
			l.carried(lines)
		}, "ledger", "ledger.jsonl is not in refs/heads/evidence"},
		"a branch that is not there": {func(l *lab) {
			l.signed()
			l.change("playbooks/site.yml")
			l.evidence()
			l.carried(l.lines())
		}, "ledger", `"refs/heads/evidence" is not a commit of this repository`},
		"a branch without a path": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.request.LedgerHistory = "refs/heads/evidence"
		}, "ledger", "not BRANCH:PATH"},
		"a history in the place of signatures": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.carried(l.branch(l.lines()))
		}, "ledger", "has no head outside of its folder"},

		// The clock.
		"a clock set back": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence()
			l.gate.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		}, "clock", "the clock was set back"},
		"a clock set back behind old evidence only": {func(l *lab) {
			old := time.Now().Add(-days(10))
			l.change("playbooks/site.yml")
			l.evidence(at(old))
			l.old(old)
			require.NoError(l.t, l.gate.Note(context.Background(), l.evaluate()))
			l.gate.Now = func() time.Time { return old.Add(time.Hour) }
		}, "clock", "the last evaluation"},
		"evidence from the future": {func(l *lab) { l.change("playbooks/site.yml"); l.evidence(ago(-time.Hour)) },
			"clock", "holds a record of"},
		"evidence written while the clock was ahead": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.evidence(ago(time.Hour))
			l.record("drill_other", ago(days(5)))
		}, "evidence", "the clock was set back in between"},

		// The range.
		"a file of no class":                 {func(l *lab) { l.change("bin/deploy"); l.evidence() }, "unclassified", "the file bin/deploy has no class"},
		"a file with a name that is no text": {func(l *lab) { l.change("pl\xffbooks/\nx"); l.evidence() }, "unclassified", `the file "pl\xffbooks/\nx" has no class`},
		"a file touched and put back": {func(l *lab) {
			l.change("roles/longhorn/tasks/main.yml")
			l.write("roles/longhorn/tasks/main.yml", "- debug:\n")
			l.write("README.md", "more\n")
			l.commit("Put back")
			l.record("idempotence_gate")
		}, "evidence", "parity_assert is missing for longhorn"},
		"a merge that brings other files": {func(l *lab) {
			l.git("checkout", "-qb", "side", l.base)
			l.change("roles/longhorn/x.yml")
			l.git("checkout", "-q", "main")
			l.change("README.md")
			l.git("merge", "-q", "--no-ff", "-m", "Bring it", "side")
			l.record("idempotence_gate")
		}, "evidence", "parity_assert is missing for longhorn"},
		"a merge of a branch that is older than base": {func(l *lab) {
			l.git("checkout", "-qb", "side", l.base)
			l.change("roles/longhorn/x.yml")
			l.git("checkout", "-q", "main")
			l.request.Base = l.change("README.md")
			l.git("merge", "-q", "--no-ff", "-m", "Bring it", "side")
			l.record("idempotence_gate")
		}, "evidence", "parity_assert is missing for longhorn"},
		"a merge that smuggles in a file of neither side": {func(l *lab) {
			l.git("checkout", "-qb", "side", l.base)
			l.change("README.md")
			l.git("checkout", "-q", "main")
			l.change("docs.md")
			l.git("merge", "-q", "--no-ff", "--no-commit", "side")
			l.write("bin/evil", "x")
			l.commit("Merge side")
			l.evidence()
		}, "unclassified", "bin/evil has no class"},
		"a file that one merge brings and another takes away": {func(l *lab) {
			for n, bin := range []string{"add", "rm"} {
				side := "side" + strconv.Itoa(n)
				l.git("checkout", "-qb", side, "main")
				l.change(side + ".md")
				l.git("checkout", "-q", "main")
				l.change("main" + strconv.Itoa(n) + ".md")
				l.git("merge", "-q", "--no-ff", "--no-commit", side)
				if bin == "add" {
					l.write("bin/evil", "x")
				} else {
					l.git("rm", "-q", "bin/evil")
				}
				l.commit("Merge " + side)
			}
			l.evidence()
		}, "unclassified", "bin/evil has no class"},
		"a merge that keeps nothing of what it merges": {func(l *lab) {
			l.git("checkout", "-qb", "side", l.base)
			l.change("roles/longhorn/x.yml")
			l.git("checkout", "-q", "main")
			l.change("README.md")
			l.git("merge", "-q", "-s", "ours", "-m", "Keep ours", "side")
			l.record("idempotence_gate")
		}, "evidence", "parity_assert is missing for longhorn"},
		"an octopus": {func(l *lab) {
			for _, side := range []string{"one", "two"} {
				l.git("checkout", "-qb", side, l.base)
				l.change(side + ".md")
			}
			l.change("bin/arm")
			l.git("checkout", "-q", "main")
			l.change("main.md")
			l.git("merge", "-q", "-m", "All of it", "one", "two")
			l.evidence()
		}, "unclassified", "bin/arm has no class"},
		"an unrelated history merged in": {func(l *lab) {
			l.git("checkout", "-q", "--orphan", "other")
			l.git("rm", "-rfq", ".")
			l.change("bin/other")
			l.git("checkout", "-q", "main")
			l.git("merge", "-q", "--allow-unrelated-histories", "-m", "Both", "other")
			l.evidence()
		}, "unclassified", "bin/other has no class"},
		"a submodule's pointer that .gitmodules tells git to ignore": {func(l *lab) {
			l.submodule("9")
			l.request.Base = l.git("rev-parse", "HEAD")
			l.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("8", 40)+",vendor/x")
			l.git("commit", "-q", "--allow-empty", "-m", "Move it")
			l.git("config", "diff.ignoreSubmodules", "all")
			l.record("idempotence_gate")
		}, "unclassified", "vendor/x has no class"},
		"an empty range":             {func(l *lab) { l.evidence() }, "range", "the range is empty"},
		"commits that touch nothing": {func(l *lab) { l.commit("Nothing"); l.evidence() }, "range", "no commit of the range touches a file"},
		"base and head the wrong way round": {func(l *lab) {
			l.request.Base = l.change("playbooks/site.yml")
			l.request.Head = l.base
			l.evidence()
		}, "range", "is not an ancestor of head"},
		"a history that was rewritten": {func(l *lab) {
			l.request.Base = l.change("README.md")
			l.write("README.md", "amended\n")
			l.git("commit", "-qa", "--amend", "--no-edit")
			l.evidence()
		}, "range", "history was rewritten"},
		"a base moved past a commit that was never promoted": {func(l *lab) {
			l.request.RequireDescendant = true
			l.record("promotion", promoted(l.base))
			l.request.Base = l.change("roles/longhorn/x.yml")
			l.change("playbooks/site.yml")
			l.record("idempotence_gate")
		}, "descendant", "is neither what was promoted last"},
		"a base moved past a commit whose promotion failed": {func(l *lab) {
			l.request.RequireDescendant = true
			l.record("promotion", promoted(l.base))
			l.request.Base = l.change("roles/longhorn/x.yml")
			l.record("promotion", promoted(l.request.Base), of(evidence.Red))
			l.change("playbooks/site.yml")
			l.record("idempotence_gate")
		}, "descendant", "is neither what was promoted last"},
		"a base after a promotion of a commit that is not here": {func(l *lab) {
			l.request.RequireDescendant = true
			l.record("promotion", promoted(strings.Repeat("1", 40)))
			l.change("playbooks/site.yml")
			l.evidence()
		}, "descendant", "is not in the repository; fetch it"},
		"a head that is no commit": {func(l *lab) { l.change("README.md"); l.request.Head = "nowhere" }, "range", `"nowhere" is not a commit of this repository`},
		"a head that is an option": {func(l *lab) { l.change("README.md"); l.request.Head = "--all" }, "range", `"--all" is not a commit of this repository`},
		"a tag that is called as the branch": {func(l *lab) {
			l.change("README.md")
			l.git("tag", "main", l.git("rev-parse", "HEAD"))
			l.change("bin/deploy")
			l.request.Head = "main"
		}, "range", `"main" is ambiguous`},
		"a head that is a file": {func(l *lab) { l.change("README.md"); l.request.Head = "HEAD:README.md" }, "range", "is not a commit of this repository"},
		"a shallow clone": {func(l *lab) {
			l.change("bin/deploy")
			l.change("README.md")
			l.shell(l.dir, "git", "clone", "-q", "--depth", "2", "file://"+l.repo, l.repo+"2")
			l.repo += "2"
			l.request.Path, l.request.Base = l.repo, "HEAD^"
			l.evidence()
		}, "repository", "the clone is shallow"},
		"a partial clone": {func(l *lab) {
			l.change("README.md")
			l.git("config", "remote.origin.promisor", "true")
			l.evidence()
		}, "repository", "the clone is partial"},
		"an object that is missing": {func(l *lab) {
			l.change("bin/deploy")
			l.change("README.md")
			hash := l.git("rev-parse", "HEAD^^{tree}")
			require.NoError(l.t, os.Remove(filepath.Join(l.repo, ".git/objects", hash[:2], hash[2:])))
			l.evidence()
		}, "repository", "git"},
		"no repository": {func(l *lab) { l.request.Path = l.t.TempDir() }, "repository", "not a git repository"},

		// What git could be made to show.
		"a commit replaced by one that touches less": {func(l *lab) {
			l.change("bin/deploy")
			hidden := l.git("rev-parse", "HEAD")
			l.git("replace", hidden, l.git("commit-tree", "-p", l.base, "-m", "Nothing", l.base+"^{tree}"))
			l.evidence()
		}, "unclassified", "bin/deploy has no class"},
		"a graft that takes commits out": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.write("roles/longhorn/x.yml", "x")
			l.git("rm", "-qf", "roles/longhorn/x.yml")
			l.commit("Take it out")
			head := l.change("README.md")
			l.put(filepath.Join(l.repo, ".git/info/grafts"), head+" "+l.base+"\n")
			l.record("idempotence_gate")
		}, "evidence", "parity_assert is missing for longhorn"},
		"settings of the repository that hide changes": {func(l *lab) {
			for _, setting := range [][2]string{
				{"diff.renames", "copies"}, {"diff.external", "true"}, {"diff.ignoreSubmodules", "all"}, {"diff.relative", "true"},
				{"log.showSignature", "true"}, {"log.mailmap", "true"}, {"log.follow", "true"}, {"core.fsmonitor", "false"}, {"core.ignoreCase", "true"},
				{"core.quotePath", "true"}, {"alias.diff-tree", "!true"}, {"alias.rev-list", "!true"}, {"core.pager", "false"}, {"color.ui", "always"},
				{"core.attributesFile", "nowhere"}, {"diff.x.textconv", "true"}, {"core.precomposeUnicode", "true"}, {"diff.noprefix", "true"}, {"core.abbrev", "4"},
			} {
				l.git("config", setting[0], setting[1])
			}
			l.write(".gitattributes", "* diff=x -text binary\nbin/** export-ignore linguist-generated\n")
			l.change("bin/deploy")
			l.evidence()
			l.git("config", "diff.orderFile", "nowhere")
		}, "unclassified", "bin/deploy has no class"},
		"an environment that hides changes": {func(l *lab) {
			elsewhere := newLab(l.t)
			l.gate.Env = append(l.gate.Env, "GIT_DIR="+elsewhere.repo+"/.git", "GIT_WORK_TREE="+elsewhere.repo, "GIT_EXTERNAL_DIFF=true",
				"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=diff.renames", "GIT_CONFIG_VALUE_0=true", "GIT_REPLACE_REF_BASE=refs/heads/", "GIT_LITERAL_PATHSPECS=0",
				"GIT_GRAFT_FILE=/nowhere", "GIT_DIFF_OPTS=--unified=0", "GIT_OBJECT_DIRECTORY=/nowhere", "GIT_CEILING_DIRECTORIES=/")
			l.change("bin/deploy")
			l.evidence()
		}, "unclassified", "bin/deploy has no class"},

		// The policy.
		"a policy made weaker in the same range": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, "gates: [idempotence_gate, parity_assert]", "gates: [idempotence_gate]", 1))
			l.change("roles/longhorn/x.yml")
			l.record("idempotence_gate")
			l.record("drill_longhorn_orphans")
		}, "evidence", "parity_assert is missing for longhorn by the policy of base"},
		"a policy made stricter in the same range": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, "gates: [idempotence_gate]", "gates: [idempotence_gate, tofu_plan_gate]", 1))
			l.change("playbooks/site.yml")
			l.evidence()
		}, "evidence", "tofu_plan_gate is missing for ansible by the policy of head"},
		"a class given to a file in the same range": {func(l *lab) {
			l.write("promotion.yml", strings.Replace(policyText, `paths: ["*.md"]`, `paths: ["*.md", bin/]`, 1))
			l.change("bin/deploy")
			l.evidence()
		}, "unclassified", "bin/deploy has no class by the policy of base"},
		"a policy that the range takes away": {func(l *lab) { l.git("rm", "-q", "promotion.yml"); l.commit("Away"); l.evidence() },
			"policy", "promotion.yml is not in head"},
		"a policy that the range brings": {func(l *lab) {
			l.git("rm", "-q", "promotion.yml")
			l.request.Base = l.commit("Away")
			l.write("promotion.yml", policyText)
			l.commit("There it is")
			l.evidence()
		}, "policy", "promotion.yml is not in base"},
		"a policy that is only in the working tree": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.record("idempotence_gate")
			l.write("promotion.yml", strings.ReplaceAll(policyText, "[idempotence_gate, parity_assert]", "[idempotence_gate]"))
		}, "evidence", "parity_assert is missing for longhorn"},
		"a policy that became a link": {func(l *lab) {
			require.NoError(l.t, os.Remove(filepath.Join(l.repo, "promotion.yml")))
			require.NoError(l.t, os.Symlink("README.md", filepath.Join(l.repo, "promotion.yml")))
			l.commit("Link")
			l.evidence()
		}, "policy", "it is a link or a submodule"},
		"a policy with a key that is not known": {func(l *lab) {
			l.write("promotion.yml", policyText+"  later:\n    gate: [idempotence_gate]\n")
			l.commit("Misspell")
			l.evidence()
		}, "policy", `head:promotion.yml:33:5: unknown key "gate"`},
		"a policy of which a pattern means nothing": {func(l *lab) {
			l.write("promotion.yml", strings.ReplaceAll(policyText, "roles/longhorn/]", "roles/longhorm/]"))
			l.request.Base = l.commit("Misspell")
			l.change("roles/longhorn/x.yml")
			l.record("idempotence_gate")
		}, "unused_pattern", "the pattern roles/longhorm/ of the class longhorn matches no file of base or head"},
		"a mild policy from outside of a repository that has one": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.outside(mildPolicy)
		}, "policy", "the repository has its own policy, promotion.yml, and"},
		"a mild policy from outside, for a repository called otherwise": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.request.Repository = "fork"
			l.outside(strings.ReplaceAll(mildPolicy, "factory", "fork"))
		}, "policy", "the repository has its own policy, promotion.yml, and"},
		"a mild policy from outside of a repository that has one at another place": {func(l *lab) {
			l.git("mv", "promotion.yml", "lab.yaml")
			l.request.Base = l.commit("Move it")
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.outside(mildPolicy)
		}, "policy", "the repository has its own policy, lab.yaml, and"},
		"a mild policy from outside while the range breaks the repository's own": {func(l *lab) {
			l.git("rm", "-q", "promotion.yml")
			l.request.Base = l.commit("Away")
			l.write("promotion.yml", "{")
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.outside(mildPolicy)
		}, "policy", "the repository has its own policy, promotion.yml, and"},
		"a mild policy from outside while the range takes the repository's own away": {func(l *lab) {
			l.git("rm", "-q", "promotion.yml")
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.outside(mildPolicy)
		}, "policy", "the repository has its own policy, promotion.yml, and"},
		"a mild policy from outside, by a link in the repository": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.outside(mildPolicy)
			require.NoError(l.t, os.Symlink(l.request.Policy, filepath.Join(l.repo, "mild.yml")))
			l.request.Policy = filepath.Join(l.repo, "mild.yml")
		}, "policy", "mild.yml is not in base"},
		"a mild policy for a bare repository": {func(l *lab) {
			l.request.Head = l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.request.Path = filepath.Join(l.dir, "bare.git")
			l.shell(l.dir, "git", "clone", "-q", "--bare", l.repo, l.request.Path)
			l.outside(mildPolicy)
		}, "policy", "the repository has its own policy, promotion.yml, and"},
		"a mild example in the repository": {func(l *lab) {
			l.write("docs/mild.md.yml", mildPolicy)
			l.request.Base = l.commit("An example")
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.request.Policy = filepath.Join(l.repo, "docs/mild.md.yml")
		}, "policy", "another policy for factory than docs/mild.md.yml: promotion.yml"},
		"another policy than the boundary manifest names": {func(l *lab) {
			l.change("roles/longhorn/x.yml")
			l.record("drill_other")
			l.name("strict.yml")
			l.outside(mildPolicy)
		}, "policy", "is not the one of policy.promotion in the boundary manifest"},
		"the repository's own policy where the boundary manifest names another": {func(l *lab) {
			l.change("playbooks/site.yml")
			l.name("strict.yml")
			l.evidence()
		}, "policy", "is not the one of policy.promotion in the boundary manifest"},
		"a boundary manifest that the range has name a mild policy": {func(l *lab) {
			l.request.Boundary = filepath.Join(l.repo, "boundary.md")
			l.name(l.repo + "/promotion.yml")
			l.request.Base = l.commit("A boundary")
			l.change("roles/longhorn/x.yml")
			l.outside(mildPolicy)
			l.name(l.request.Policy)
			l.commit("Name the mild one")
			l.record("drill_other")
		}, "policy", "is not the one of policy.promotion in the boundary manifest"},
		"a boundary manifest that the range brings names a mild policy": {func(l *lab) {
			l.request.Boundary = filepath.Join(l.repo, "boundary.md")
			l.change("roles/longhorn/x.yml")
			l.outside(mildPolicy)
			l.name(l.request.Policy)
			l.commit("Name the mild one")
			l.record("drill_other")
		}, "policy", "the repository has its own policy, promotion.yml, and"},
		"a policy that does not list the repository": {func(l *lab) { l.change("README.md"); l.evidence(); l.request.Repository = "fork" },
			"policy", `does not list the repository "fork"`},
		"another repository that the request does not name": {func(l *lab) {
			l.together()
			l.change("playbooks/site.yml")
			l.evidence()
		}, "related_repository", "set its path in related_repositories"},
		"evidence that tells nothing of another repository": {func(l *lab) {
			l.together()
			l.request.Related = map[string]string{"gitops": newLab(l.t).repo}
			l.change("playbooks/site.yml")
			l.evidence()
		}, "evidence", "it does not name the repository gitops"},
		"another repository that moved since": {func(l *lab) {
			l.together()
			other := newLab(l.t)
			l.request.Related = map[string]string{"gitops": other.repo}
			l.change("playbooks/site.yml")
			l.evidence(func(r *evidence.Record) {
				r.Trees = append(r.Trees, tree.State{Repository: "gitops", Tree: other.git("rev-parse", "HEAD^{tree}")})
			})
			other.change("README.md")
		}, "evidence", "of gitops, not"},
		"another repository that is dirty": {func(l *lab) {
			l.together()
			other := newLab(l.t)
			l.request.Related = map[string]string{"gitops": other.repo}
			l.change("playbooks/site.yml")
			l.evidence()
			other.write("README.md", "dirty\n")
		}, "related_repository", "its working tree differs from its commit"},
	}
	require.GreaterOrEqual(t, len(cheats), 133, "attempts were removed: they may work now")
	for name, c := range cheats {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			c.cheat(l)
			report := l.evaluate()
			assert.Equal(t, evidence.Red, report.Verdict)
			var of []string
			for _, finding := range report.Findings {
				if finding.Rule == c.rule {
					of = append(of, finding.Message)
				}
				assert.NotContains(t, finding.Message, "\n")
			}
			assert.Contains(t, strings.Join(of, "\n"), c.says, "%+v", report.Findings)
		})
	}
}

// waived makes a record say what was let through, as the gates write it.
func waived(waivers ...string) func(*evidence.Record) {
	return func(r *evidence.Record) { r.Waivers = waivers }
}

// promoted makes a record tell of that commit.
func promoted(commit string) func(*evidence.Record) {
	return func(r *evidence.Record) { r.Trees[0].Commit = commit }
}

// asks has the policy ask more of the gate for playbooks, and changes one.
func (l *lab) asks(more string) {
	l.t.Helper()
	l.write("promotion.yml", strings.Replace(policyText, "gates: [idempotence_gate]", "gates: [{gate: idempotence_gate, "+more+"}]", 1))
	l.request.Base = l.commit("Ask for more")
	l.change("playbooks/site.yml")
}

// report makes a record point at a report of that text.
func (l *lab) report(text string) func(*evidence.Record) {
	l.t.Helper()
	path := filepath.Join(l.dir, "report.json")
	l.put(path, text)
	return func(r *evidence.Record) {
		r.Report = evidence.Report{Path: path, SHA256: sum(text)}
	}
}

// copied puts lines of the ledger into another folder, with a head that fits.
func (l *lab) copied(lines []string) string {
	l.t.Helper()
	var last struct {
		Hash string `json:"hash"`
	}
	require.NoError(l.t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	path := filepath.Join(l.t.TempDir(), "ledger.jsonl")
	l.put(path, append(lines[:len(lines)-1:len(lines)-1], strings.TrimSuffix(lines[len(lines)-1], "\n"), "\n")...)
	head, err := json.Marshal(evidence.Head{Sequence: len(lines), Hash: last.Hash})
	require.NoError(l.t, err)
	l.put(path+".head", string(head))
	return path
}

// signed has all records signed from now on, and asks for that.
func (l *lab) signed() {
	l.t.Helper()
	l.request.AllowedSigners = filepath.Join(l.dir, "allowed")
	l.put(l.request.AllowedSigners, l.key("ops"))
}

// branch commits lines as the ledger on the branch evidence, after what is there.
func (l *lab) branch(lines []string) []string {
	l.t.Helper()
	scratch := filepath.Join(l.t.TempDir(), "evidence")
	l.shell(l.dir, "git", "init", "-q", "-b", "evidence", scratch)
	if l.git("for-each-ref", "refs/heads/evidence") != "" {
		l.shell(scratch, "git", "pull", "-q", l.repo, "evidence")
	}
	l.shell(scratch, "git", "rm", "-q", "--ignore-unmatch", "ledger.jsonl")
	if lines != nil {
		l.put(filepath.Join(scratch, "ledger.jsonl"), strings.TrimSuffix(strings.Join(lines, ""), "\n")+"\n")
		l.shell(scratch, "git", "add", ".")
	}
	l.shell(scratch, "git", "commit", "-q", "--allow-empty", "-m", "The ledger")
	l.shell(scratch, "git", "push", "-q", l.repo, "evidence")
	return lines
}

// carried asks about a ledger of those lines as a machine does that never saw it.
func (l *lab) carried(lines []string) {
	l.t.Helper()
	l.request.Ledger, l.request.AllowMissingHead = l.copied(lines), true
	l.request.LedgerHistory = "refs/heads/evidence:ledger.jsonl"
	require.NoError(l.t, os.Remove(l.request.Ledger+".head"))
}

// old makes the files of the ledger, and the commit, as old as that.
func (l *lab) old(when time.Time) {
	l.t.Helper()
	for _, path := range []string{l.request.Ledger, l.request.Ledger + ".head"} {
		require.NoError(l.t, os.Chtimes(path, when, when))
	}
	l.shell(l.repo, "env", "GIT_COMMITTER_DATE="+when.Format(time.RFC3339), "git", "commit", "-q", "--amend", "--no-edit")
}

// together has the policy ask for the repository gitops as well.
func (l *lab) together() {
	l.t.Helper()
	l.write("promotion.yml", strings.Replace(policyText, "  factory:\n", "  factory:\n    related_repositories: [gitops]\n", 1))
	l.request.Base = l.commit("Ask for gitops")
}

// submodule adds a gitlink that .gitmodules tells git not to look at.
func (l *lab) submodule(digit string) {
	l.t.Helper()
	l.write(".gitmodules", "[submodule \"x\"]\n\tpath = vendor/x\n\turl = ../x\n\tignore = all\n")
	l.git("add", ".gitmodules")
	l.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat(digit, 40)+",vendor/x")
	l.git("commit", "-qm", "A submodule")
}
