// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package promotion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/ansible"
	ledger "github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/guard"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
	"github.com/arcodange-org/sandbox/modules/evidence"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard/controller"
	"github.com/arcodange-org/sandbox/modules/promotion_gate"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

func TestMain(m *testing.M) {
	switch name := ansibletest.StartedAs(); {
	case name == "":
		os.Exit(m.Run())
	case strings.HasPrefix(name, "__target"):
		os.Exit(ansible.Main(os.Args, prodipguard.Module()))
	case strings.HasPrefix(name, "controller"):
		os.Exit(ansible.Main(os.Args, controller.Module(), evidence.Module(), promotiongate.Module()))
	default:
		os.Exit(guard.Main(guard.Process{
			Args: append([]string{name}, os.Args[1:]...), Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		}))
	}
}

const policy = `
repositories:
  factory:
    classes:
      - class: ansible
        paths: [playbooks/, inventory/]
      - class: promotion
        paths: [/promotion.yml]
        optional_paths: [allowed_signers]
      - class: pages
        paths: ["*.md"]
classes:
  ansible:
    gates: [idempotence_gate]
    max_age: 24h
    fidelity: {modes: [vm], distributions: any}
  promotion:
    gates: [idempotence_gate]
    max_age: 24h
    fidelity: {modes: any, distributions: any}
  pages:
    exempt: Only people read them
`

// production stands in for production's playbook: it writes what it sees to a file outside.
const production = `---
- name: Production
  hosts: production
  gather_facts: false
  tasks:
    - name: Leave a mark
      ansible.builtin.copy:
        dest: "{{ mark }}"
        mode: "0600"
        content: |
          said {{ said }}
          word {{ lookup('ansible.builtin.file', playbook_dir ~ '/word') }}
          vault {{ lookup('ansible.builtin.env', 'VAULT_TOKEN') }}
          boundary {{ lookup('ansible.builtin.env', 'SANDBOX_BOUNDARY') }}
          config {{ lookup('ansible.builtin.config', 'DEFAULT_FORKS') }}
          first {{ lookup('ansible.builtin.env', 'PATH').split(':') | first }}
    - name: Fail if told to
      ansible.builtin.fail:
        msg: Production says no
      when: "lookup('ansible.builtin.file', playbook_dir ~ '/word') is search('fail')"
`

// lab is a repository with a playbook for production, the sandbox's inventory, and a ledger.
type lab struct {
	t         testing.TB
	root      string
	python    string
	repo      string
	inventory string
	ledger    string
	mark      string // what production's playbook leaves
	base      string
	key       string // records are signed with; empty for none
	promotion string // the playbook that promotes
}

func newLab(t *testing.T) *lab {
	t.Helper()
	python := ansibletest.Python(t)
	site := ansibletest.Install(t, ansibletest.Self(t), ansibletest.Self(t))
	root := site.Root
	l := &lab{
		promotion: "arcodange.sandbox.promote", t: t, root: root, python: python, repo: filepath.Join(root, "factory"), inventory: filepath.Join(root, "sandbox"),
		ledger: filepath.Join(root, "evidence", "ledger.jsonl"), mark: filepath.Join(root, "mark"),
	}
	l.write("sandbox/hosts.yml", "all: {hosts: {pi1: {ansible_host: 127.0.0.2}}}\n")
	l.boundary("")
	l.write("factory/promotion.yml", policy)
	l.write("factory/README.md", "# Factory\n")
	l.write("factory/playbooks/site.yml", production)
	l.write("factory/playbooks/word", "first")
	l.write("factory/inventory/production/hosts.yml", fmt.Sprintf(
		"production: {hosts: {pi9: {ansible_connection: local, ansible_python_interpreter: %s}}, vars: {mark: %s, said: nothing}}\n", python, l.mark))
	l.write("home/.gitconfig", "[user]\n\tname = t\n\temail = t@example.org\n")
	l.shell(root, "git", "init", "-q", "-b", "main", l.repo)
	l.base = l.commit("What production has")
	return l
}

// boundary writes the boundary manifest, with a policy for the override.
func (l *lab) boundary(policy string) {
	l.write("sandbox/boundary.yml", "plugin: arcodange.sandbox.boundary\nproduction:\n  addresses: [192.0.2.1]\nsandbox:\n"+
		"  addresses: [127.0.0.2]\n  environment: [GIT_SSH_COMMAND, RSYNC_RSH, ANSIBLE_CONFIG, TF_CLI_CONFIG_FILE]\n"+policy)
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	path := filepath.Join(l.root, name)
	require.NoError(l.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(l.t, os.WriteFile(path, []byte(text), 0o644))
}

func (l *lab) read(path string) string {
	l.t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	require.NoError(l.t, err)
	return string(data)
}

func (l *lab) shell(dir string, words ...string) string {
	l.t.Helper()
	out, err := l.command(dir, words...).CombinedOutput()
	require.NoError(l.t, err, "%v: %s", words, out)
	return strings.TrimSpace(string(out))
}

func (l *lab) git(words ...string) string {
	l.t.Helper()
	return l.shell(l.repo, append([]string{"git"}, words...)...)
}

// command runs in the lab's environment: nothing of the machine's own Ansible, and production's secret at hand.
func (l *lab) command(dir string, words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	var env []string
	for _, entry := range tree.GitEnv(os.Environ()) {
		if !strings.HasPrefix(entry, "ANSIBLE_") && !strings.HasPrefix(entry, "XDG_") && !strings.HasPrefix(entry, "SANDBOX_") {
			env = append(env, entry)
		}
	}
	cmd.Env = append(env, "HOME="+filepath.Join(l.root, "home"), "XDG_CACHE_HOME="+filepath.Join(l.root, "cache"),
		"XDG_STATE_HOME="+filepath.Join(l.root, "state"), "PATH="+filepath.Dir(l.python)+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "VAULT_TOKEN=s.production",
		"ANSIBLE_COLLECTIONS_PATH="+l.root, "ANSIBLE_CONFIG="+filepath.Join(l.root, "ansible.cfg"), "ANSIBLE_NOCOLOR=1", "ANSIBLE_FORKS=3",
		"ANSIBLE_LOCALHOST_WARNING=False")
	return cmd
}

func (l *lab) commit(message string) string {
	l.t.Helper()
	l.git("add", "-A")
	l.git("commit", "-q", "-m", message)
	return l.git("rev-parse", "HEAD")
}

// change has production's playbook say another word, and records the gate's verdict of it.
func (l *lab) change(word string, verdict ledger.Verdict) string {
	l.t.Helper()
	l.write("factory/playbooks/word", word)
	commit := l.commit("Say " + word)
	l.record(verdict)
	return commit
}

// record adds a record as the idempotence gate writes it.
func (l *lab) record(verdict ledger.Verdict) {
	l.t.Helper()
	state, err := tree.Of(context.Background(), run.Exec{}, l.repo)
	require.NoError(l.t, err)
	state.Repository = "factory"
	boundary, err := ledger.Digest(filepath.Join(l.inventory, "boundary.yml"))
	require.NoError(l.t, err)
	var sign ledger.Signer
	if l.key != "" {
		sign = ledger.SSHSigner(run.Exec{}, l.key)
	}
	_, err = l.book().Append(context.Background(), ledger.Record{
		What: "idempotence_gate", Verdict: verdict, Summary: "As a test has it", Trees: []tree.State{state}, Boundary: boundary, Mode: "vm", Distribution: "embedded",
	}, sign)
	require.NoError(l.t, err)
}

// book is the ledger, with its heads where the playbooks look for them.
func (l *lab) book() *ledger.Ledger {
	book, err := ledger.Open(l.ledger)
	require.NoError(l.t, err)
	book.Anchors = filepath.Join(l.root, "state", "arcodange-sandbox", "ledgers")
	return book
}

// recorded is what the ledger holds, as "what verdict".
func (l *lab) recorded() []string {
	l.t.Helper()
	entries, err := ledger.Read(l.ledger)
	require.NoError(l.t, err)
	var out []string
	for _, entry := range entries {
		out = append(out, entry.What+" "+string(entry.Verdict))
	}
	return out
}

// play runs a playbook of the collection, or another one, against the sandbox's inventory.
func (l *lab) play(playbook string, more ...string) (string, error) {
	words := append([]string{filepath.Join(filepath.Dir(l.python), "ansible-playbook"), "-i", l.inventory, playbook, "-e", "promotion_repository=factory", "-e", "promotion_path=" + l.repo,
		"-e", "promotion_base=" + l.base, "-e", "promotion_policy=" + filepath.Join(l.repo, "promotion.yml"), "-e", "promotion_ledger=" + l.ledger}, more...)
	out, err := l.command(l.repo, words...).CombinedOutput()
	return string(out), err
}

// promote runs promote.yml.
func (l *lab) promote(more ...string) (string, error) {
	return l.play(l.promotion, append([]string{"-e", "promotion_playbook=playbooks/site.yml",
		"-e", "promotion_production_inventory=inventory/production", "-e", `{"promotion_variables": {"said": "hello"}}`}, more...)...)
}
