// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// TestMain gives all tests one state folder, in which the heads of their ledgers lie.
func TestMain(m *testing.M) {
	state, err := os.MkdirTemp("", "arcodange-promotion-test-")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"XDG_STATE_HOME": state, "GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	status := m.Run()
	if err := os.RemoveAll(state); err != nil {
		panic(err)
	}
	os.Exit(status)
}

const policyText = `
repositories:
  factory:
    classes:
      - class: ansible
        paths: [playbooks/, "roles/**"]
        optional_paths: [/site.yml]
        excludes: [roles/longhorn/]
      - class: longhorn
        paths: [roles/longhorn/]
      - class: policy
        paths: [/promotion.yml, /allowed_signers]
        optional_paths: [/.gitattributes]
      - class: docs
        paths: ["*.md"]
classes:
  ansible:
    gates: [idempotence_gate]
    max_age: 72h
    fidelity: {modes: [vm], distributions: any, deviations: ["kubernetes.distribution*"]}
  longhorn:
    gates: [idempotence_gate, parity_assert]
    drills: [drill_longhorn_orphans]
    max_age: 24h
    fidelity: {modes: [vm], distributions: [k3s]}
  policy:
    gates: [idempotence_gate]
    max_age: 72h
    fidelity: {modes: any, distributions: any, deviations: any}
  docs:
    exempt: Nothing but people reads them
`

const boundaryText = "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [127.0.0.1]}\n"

// lab is a repository with one commit that production has, a policy in it, and a ledger.
type lab struct {
	t       testing.TB
	dir     string // of everything
	repo    string
	base    string // the commit that production has
	request Request
	gate    Gate
	sign    evidence.Signer
}

func newLab(t testing.TB) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, dir: dir, repo: filepath.Join(dir, "factory")}
	l.shell(dir, "git", "init", "-q", "-b", "main", l.repo)
	l.write("promotion.yml", policyText)
	l.write("allowed_signers", "# nobody yet\n")
	l.write("playbooks/site.yml", "- hosts: all\n")
	l.write("roles/dns/tasks/main.yml", "- debug:\n")
	l.write("roles/longhorn/tasks/main.yml", "- debug:\n")
	l.write("README.md", "# Factory\n")
	l.base = l.commit("What production has")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "boundary.yml"), []byte(boundaryText), 0o600))
	l.request = Request{
		Repository: "factory", Path: l.repo, Base: l.base, Head: "HEAD", Policy: filepath.Join(l.repo, "promotion.yml"),
		Ledger: filepath.Join(dir, "ledger.jsonl"), Boundary: filepath.Join(dir, "boundary.yml"),
	}
	l.gate = Gate{Runner: run.Exec{}, Env: os.Environ(), Now: time.Now, Witness: filepath.Join(dir, "judged")}
	return l
}

func (l *lab) shell(dir string, words ...string) string {
	l.t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	cmd.Env = append(tree.GitEnv(os.Environ()), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.org",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.org")
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, "%v: %s", words, out)
	return strings.TrimSpace(string(out))
}

func (l *lab) git(words ...string) string {
	l.t.Helper()
	return l.shell(l.repo, append([]string{"git"}, words...)...)
}

func (l *lab) write(path, text string) {
	l.t.Helper()
	full := filepath.Join(l.repo, path)
	require.NoError(l.t, os.MkdirAll(filepath.Dir(full), 0o755))
	require.NoError(l.t, os.WriteFile(full, []byte(text), 0o644))
}

func (l *lab) read(path string) string {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.repo, path))
	require.NoError(l.t, err)
	return string(data)
}

// commit commits everything and returns the hash.
func (l *lab) commit(message string) string {
	l.t.Helper()
	l.git("add", "-A")
	l.git("commit", "-q", "--allow-empty", "-m", message)
	return l.git("rev-parse", "HEAD")
}

// change commits a change of one file.
func (l *lab) change(path string) string {
	l.t.Helper()
	l.write(path, "changed "+path+" "+time.Now().String()+"\n")
	return l.commit("Change " + path)
}

// record adds a record of what now lies in the working tree, as a gate would,
// with what each of the changes makes of it.
func (l *lab) record(what string, changes ...func(*evidence.Record)) evidence.Entry {
	l.t.Helper()
	return l.recordOf(l.tree(), what, changes...)
}

// tree is what now lies in the working tree.
func (l *lab) tree() tree.State {
	l.t.Helper()
	tree, err := tree.Of(context.Background(), run.Exec{}, l.repo)
	require.NoError(l.t, err)
	tree.Repository = "factory"
	return tree
}

func (l *lab) recordOf(state tree.State, what string, changes ...func(*evidence.Record)) evidence.Entry {
	l.t.Helper()
	boundary, err := evidence.Digest(l.request.Boundary)
	require.NoError(l.t, err)
	record := evidence.Record{
		What: what, Verdict: evidence.Green, Summary: "Nothing changed", Trees: []tree.State{state}, Boundary: boundary,
		Mode: "vm", Driver: "docker", Distribution: "k3s",
	}
	for _, change := range changes {
		change(&record)
	}
	book, err := evidence.Open(l.request.Ledger)
	require.NoError(l.t, err)
	entry, err := book.Append(context.Background(), record, l.sign)
	require.NoError(l.t, err)
	return entry
}

// evidence records all that any class needs.
func (l *lab) evidence(changes ...func(*evidence.Record)) {
	l.t.Helper()
	tree := l.tree()
	for _, what := range []string{"idempotence_gate", "parity_assert", "drill_longhorn_orphans"} {
		l.recordOf(tree, what, changes...)
	}
}

func (l *lab) evaluate() Report {
	l.t.Helper()
	report, err := l.gate.Evaluate(context.Background(), l.request)
	require.NoError(l.t, err)
	return report
}

// outside writes a policy outside of the repository, and asks by it.
func (l *lab) outside(text string) {
	l.t.Helper()
	l.request.Policy = filepath.Join(l.dir, "policy.yml")
	require.NoError(l.t, os.WriteFile(l.request.Policy, []byte(text), 0o600))
}

// name has the boundary manifest name a policy.
func (l *lab) name(path string) {
	l.t.Helper()
	require.NoError(l.t, os.WriteFile(l.request.Boundary, []byte(boundaryText+"policy: {promotion: "+path+"}\n"), 0o600))
}

// key makes a key that signs from now on, and returns its line of allowed signers.
func (l *lab) key(name string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	l.shell(l.dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path)
	public, err := os.ReadFile(path + ".pub")
	require.NoError(l.t, err)
	l.sign = evidence.SSHSigner(run.Exec{}, path)
	return name + "@example.org " + string(public)
}

// days is that many days.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
