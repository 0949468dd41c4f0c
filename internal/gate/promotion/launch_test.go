// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
)

// launch is one whose ansible-playbook tells what it was given and where.
func (l *lab) launch() Launch {
	l.t.Helper()
	program := filepath.Join(l.dir, "ansible-playbook")
	l.put(program, "#!/bin/sh\necho \"args $*\"\npwd\nenv\ncat playbooks/site.yml\necho complaint >&2\nexit ${ENDS:-0}\n")
	require.NoError(l.t, os.Chmod(program, 0o700))
	l.write("inventory/production", "pi1\n")
	l.commit("An inventory")
	return Launch{
		Playbook: "playbooks/site.yml", Inventory: []string{"inventory/production"}, Program: program, Work: filepath.Join(l.dir, "work"), Log: filepath.Join(l.dir, "log"),
		Env: []string{"PATH=" + os.Getenv("PATH"), "KEPT=1", "ANSIBLE_ROLES_PATH=/elsewhere", "SANDBOX_BOUNDARY=/b", "GIT_DIR=/g"},
	}
}

func (l *lab) run(launch Launch, again func(context.Context) error) (Launched, error) {
	l.t.Helper()
	return l.gate.launch(context.Background(), l.repo, l.git("rev-parse", "HEAD^{tree}"), launch, again)
}

func yes(context.Context) error { return nil }

func TestARunUsesTheExportedTreeAndItsOwnEnvironment(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	launch := l.launch()
	launch.Limit, launch.Vars, launch.Arguments, launch.Extra = "pi1", map[string]any{"secret": "correct-horse"}, []string{"--forks", "3", "--diff"}, []string{"ANSIBLE_FORKS=7"}
	l.write("playbooks/site.yml", "unjudged\n")
	out, err := l.run(launch, yes)
	require.NoError(t, err)
	assert.Equal(t, 0, out.Code)
	log, err := os.ReadFile(launch.Log)
	require.NoError(t, err)
	text := string(log)
	assert.Contains(t, text, "- hosts: all\n")
	assert.NotContains(t, text, "unjudged")
	assert.Regexp(t, `(?m)^args -i inventory/production --limit pi1 -e @\S+/vars\.json -e i_mean_prod=true --forks 3 --diff playbooks/site\.yml$`, text)
	assert.Contains(t, text, "KEPT=1\n")
	assert.Contains(t, text, "ANSIBLE_FORKS=7\n")
	assert.Regexp(t, `(?m)^ANSIBLE_CONFIG=\S+/work/run-[0-9-]+/ansible\.cfg$`, text, "an empty one, as the tree has none")
	for _, gone := range []string{"ANSIBLE_ROLES_PATH", "SANDBOX_BOUNDARY", "GIT_DIR", "correct-horse"} {
		assert.NotContains(t, text, gone)
	}
	assert.Contains(t, out.Tail, "complaint")
	left, err := os.ReadDir(launch.Work)
	require.NoError(t, err)
	assert.Empty(t, left)
	info, err := os.Stat(launch.Log)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	l.git("checkout", "-q", ".")
	l.write("ansible.cfg", "[defaults]\n")
	l.commit("A configuration")
	launch.Env = append(launch.Env, "ENDS=4")
	out, err = l.run(launch, yes)
	require.NoError(t, err, "that it failed is an outcome")
	assert.Equal(t, 4, out.Code)
	log, err = os.ReadFile(launch.Log)
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^ANSIBLE_CONFIG=\S+/tree/ansible\.cfg$`, string(log), "the tree's own")
}

func TestATreeThatCannotBeExportedExactlyIsNotRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(*lab, *Launch)
		says string
	}{
		"a no at the last moment":     {nil, "not any more"},
		"a submodule":                 {func(l *lab, _ *Launch) { l.submodule("9") }, "vendor/x is a submodule"},
		"a link out of the tree":      {func(l *lab, _ *Launch) { l.link("../../elsewhere") }, "outside of the tree"},
		"a link to an absolute place": {func(l *lab, _ *Launch) { l.link("/etc/passwd") }, "outside of the tree"},
		"two names that differ in case": {func(l *lab, _ *Launch) {
			l.write("Playbooks/x", "x")
			l.commit("Case")
		}, "differ in case alone"},
		"no inventory":         {func(_ *lab, o *Launch) { o.Inventory = nil }, "production_inventory is empty"},
		"a playbook above":     {func(_ *lab, o *Launch) { o.Playbook = "../site.yml" }, "not in the tree"},
		"a playbook elsewhere": {func(_ *lab, o *Launch) { o.Playbook = "/site.yml" }, "not in the tree"},
		"a playbook that is an option": {func(_ *lab, o *Launch) { o.Playbook = "--version" },
			"not in the tree"},
		"a playbook that is not there":   {func(_ *lab, o *Launch) { o.Playbook = "gone.yml" }, "gone.yml is not in the tree"},
		"a playbook that is a folder":    {func(_ *lab, o *Launch) { o.Playbook = "playbooks" }, "not a regular file"},
		"an inventory that is not there": {func(_ *lab, o *Launch) { o.Inventory = append(o.Inventory, "gone") }, "gone is not in the tree"},
		"an inventory of hosts":          {func(_ *lab, o *Launch) { o.Inventory = []string{"pi1,"} }, "pi1, is not in the tree"},
		"a limit that is a file":         {func(_ *lab, o *Launch) { o.Limit = "@/hosts" }, "limit "},
		"an extra variable":              {func(_ *lab, o *Launch) { o.Arguments = []string{"-e", "x=1"} }, "may change what is run"},
		"an extra inventory":             {func(_ *lab, o *Launch) { o.Arguments = []string{"--inventory=/x"} }, "may change what is run"},
		"a second playbook":              {func(_ *lab, o *Launch) { o.Arguments = []string{"other.yml"} }, "may change what is run"},
		"an argument without its value":  {func(_ *lab, o *Launch) { o.Arguments = []string{"--forks"} }, "it needs a value"},
		"a value for a switch":           {func(_ *lab, o *Launch) { o.Arguments = []string{"--diff=x"} }, "takes no value"},
		"another configuration":          {func(_ *lab, o *Launch) { o.Extra = []string{"ANSIBLE_CONFIG=/x"} }, "it would replace ansible.cfg of the tree"},
		"a log that cannot be":           {func(_ *lab, o *Launch) { o.Log = "/proc/x/log" }, "log"},
		"a program that is not there":    {func(_ *lab, o *Launch) { o.Program = "/nowhere/ansible-playbook" }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			launch := l.launch()
			again := yes
			if c.do != nil {
				c.do(l, &launch)
			} else {
				again = func(context.Context) error { return errors.New("not any more") }
			}
			_, err := l.run(launch, again)
			require.ErrorContains(t, err, c.says)
			log, _ := os.ReadFile(launch.Log)
			assert.NotContains(t, string(log), "args ", "it was not started")
			left, _ := filepath.Glob(filepath.Join(launch.Work, "*"))
			assert.Empty(t, left)
		})
	}
}

func (l *lab) link(target string) {
	l.t.Helper()
	require.NoError(l.t, os.Symlink(target, filepath.Join(l.repo, "playbooks", "link")))
	l.commit("A link")
}

func TestATreeIsExportedByteByByte(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.write(".gitattributes", "*.crlf text eol=crlf\n*.ident ident\n*.hidden export-ignore\n*.filtered filter=x\n")
	l.git("config", "filter.x.smudge", "echo smudged")
	l.git("config", "core.autocrlf", "true")
	l.write("a.crlf", "one\ntwo\n")
	l.write("b.ident", "$Id$\n")
	l.write("c.hidden", "there\n")
	l.write("d.filtered", "clean\n")
	l.write("deep/er/x", "x")
	l.write("deep.er", "sorts between")
	l.write("n\xc3\xa4me with \"\n", "odd")
	require.NoError(t, os.Chmod(filepath.Join(l.repo, "deep/er/x"), 0o755))
	require.NoError(t, os.Symlink("../deep.er", filepath.Join(l.repo, "deep/link")))
	l.commit("All kinds")
	to := filepath.Join(l.dir, "out")
	require.NoError(t, l.gate.export(context.Background(), l.repo, l.git("rev-parse", "HEAD^{tree}"), to))
	for name, text := range map[string]string{"a.crlf": "one\ntwo\n", "b.ident": "$Id$\n", "c.hidden": "there\n", "d.filtered": "clean\n", "n\xc3\xa4me with \"\n": "odd", "deep/link": "sorts between"} {
		data, err := os.ReadFile(filepath.Join(to, name))
		require.NoError(t, err)
		assert.Equal(t, text, string(data), name)
	}
	info, err := os.Stat(filepath.Join(to, "deep/er/x"))
	require.NoError(t, err)
	assert.NotZero(t, info.Mode().Perm()&0o100)
	assert.ErrorContains(t, l.gate.export(context.Background(), l.repo, l.git("rev-parse", "HEAD^{tree}"), to), "exist", "never into what is there")
}

func TestADamagedObjectIsNotExported(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	tree := l.git("rev-parse", "HEAD^{tree}")
	// The place of one file is taken by the bytes of another.
	right, wrong := l.git("rev-parse", "HEAD:playbooks/site.yml"), l.git("rev-parse", "HEAD:README.md")
	object := func(hash string) string { return filepath.Join(l.repo, ".git/objects", hash[:2], hash[2:]) }
	data, err := os.ReadFile(object(wrong))
	require.NoError(t, err)
	require.NoError(t, os.Remove(object(right)))
	require.NoError(t, os.WriteFile(object(right), data, 0o600))
	assert.Error(t, l.gate.export(context.Background(), l.repo, tree, filepath.Join(l.dir, "out")))

	files := map[string]file{"a": {"100644", strings.Repeat("1", 40)}}
	assert.NotEqual(t, treeHash(files), treeHash(map[string]file{"a": {"100755", strings.Repeat("1", 40)}}))
}

func TestTheFolderOfAKilledRunIsRemovedOnceNoProcessCanReadIt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	launch := l.launch()
	for name, age := range map[string]time.Duration{"run-1-1": 2 * abandoned, "run-2-2": time.Hour} {
		require.NoError(t, os.MkdirAll(filepath.Join(launch.Work, name, "tree"), 0o700))
		l.put(filepath.Join(launch.Work, name+".lock"), "")
		when := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(launch.Work, name+".lock"), when, when))
	}
	_, err := l.run(launch, yes)
	require.NoError(t, err)
	assert.NoDirExists(t, filepath.Join(launch.Work, "run-1-1"))
	assert.DirExists(t, filepath.Join(launch.Work, "run-2-2"))
}

func TestTheWitnessNeverGoesBack(t *testing.T) {
	t.Parallel()
	l, _ := granted(t)
	report := l.evaluate()
	require.NoError(t, l.gate.Note(context.Background(), report))
	before, err := l.gate.readWitness()
	require.NoError(t, err)
	assert.Equal(t, map[string]evidence.Head{report.LedgerID: report.LedgerHead}, before.Ledgers)
	report.Began, report.LedgerHead = report.Began.Add(-time.Hour), evidence.Head{Sequence: 1, Hash: report.LedgerID}
	require.NoError(t, l.gate.Note(context.Background(), report))
	after, err := l.gate.readWitness()
	require.NoError(t, err)
	assert.Equal(t, before, after)
	report.LedgerHead.Sequence, report.Findings = 9, []gate.Finding{{Rule: "ledger"}}
	require.NoError(t, l.gate.Note(context.Background(), report))
	after, err = l.gate.readWitness()
	require.NoError(t, err)
	assert.Equal(t, before.Ledgers, after.Ledgers, "what a ledger says that cannot be trusted is not kept")
}
