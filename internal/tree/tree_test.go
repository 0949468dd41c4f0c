// SPDX-License-Identifier: GPL-3.0-or-later

package tree

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

// repository is one with a commit of a few files.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at(t, dir, "site.yml", "- hosts: all\n")
	at(t, dir, "roles/web/tasks/main.yml", "- debug:\n")
	at(t, dir, ".gitignore", "*.retry\n")
	gitIn(t, dir, "init", "-q", "-b", "main")
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "-q", "-m", "first")
	return dir
}

func at(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false",
		"-c", "protocol.file.allow=always"}, args...)...)
	cmd.Env = append(GitEnv(os.Environ()), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

func TestTheTreeIsThatOfTheFilesOnDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		do    func(t *testing.T, dir string)
		dirty bool
	}{
		{"nothing done", func(*testing.T, string) {}, false},
		{"a file that is ignored", func(t *testing.T, dir string) { at(t, dir, "site.retry", "x") }, false},
		{"a file changed and committed", func(t *testing.T, dir string) {
			at(t, dir, "site.yml", "- hosts: none\n")
			gitIn(t, dir, "commit", "-qam", "second")
		}, false},
		{"a file touched", func(t *testing.T, dir string) {
			require.NoError(t, os.Chtimes(filepath.Join(dir, "site.yml"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
		}, false},
		{"a file changed", func(t *testing.T, dir string) { at(t, dir, "site.yml", "- hosts: none\n") }, true},
		{"a file changed and staged", func(t *testing.T, dir string) {
			at(t, dir, "site.yml", "- hosts: none\n")
			gitIn(t, dir, "add", ".")
		}, true},
		{"a file changed, staged and changed back", func(t *testing.T, dir string) {
			at(t, dir, "site.yml", "- hosts: none\n")
			gitIn(t, dir, "add", ".")
			at(t, dir, "site.yml", "- hosts: all\n")
		}, false},
		{"a file removed", func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "site.yml"))) }, true},
		{"a file that may be run now", func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, "site.yml"), 0o755)) }, true},
		{"a file that may be run now, where modes are not looked at", func(t *testing.T, dir string) {
			gitIn(t, dir, "config", "core.fileMode", "false")
			require.NoError(t, os.Chmod(filepath.Join(dir, "site.yml"), 0o755))
		}, true},
		{"a file added", func(t *testing.T, dir string) { at(t, dir, "group_vars/all.yml", "x: 1\n") }, true},
		{"a file added that only this clone excludes", func(t *testing.T, dir string) {
			at(t, dir, ".git/info/exclude", "group_vars\n")
			at(t, dir, "group_vars/all.yml", "x: 1\n")
		}, true},
		{"a file added that only this user excludes", func(t *testing.T, dir string) {
			at(t, dir, ".git/mine", "group_vars\n")
			gitIn(t, dir, "config", "core.excludesFile", filepath.Join(dir, ".git/mine"))
			at(t, dir, "group_vars/all.yml", "x: 1\n")
		}, true},
		{"a file changed that is assumed to be unchanged", func(t *testing.T, dir string) {
			gitIn(t, dir, "update-index", "--assume-unchanged", "site.yml")
			at(t, dir, "site.yml", "- hosts: none\n")
		}, true},
		{"a file changed that is to be skipped", func(t *testing.T, dir string) {
			gitIn(t, dir, "update-index", "--skip-worktree", "site.yml")
			at(t, dir, "site.yml", "- hosts: none\n")
		}, true},
		{"a file changed with its size and times kept", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "site.yml")
			info, err := os.Stat(path)
			require.NoError(t, err)
			at(t, dir, "site.yml", "- hosts: ill\n")
			require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}, true},
		{"a commit replaced by another", func(t *testing.T, dir string) {
			first := gitIn(t, dir, "rev-parse", "HEAD")
			at(t, dir, "site.yml", "- hosts: none\n")
			gitIn(t, dir, "commit", "-qam", "second")
			second := gitIn(t, dir, "rev-parse", "HEAD")
			gitIn(t, dir, "reset", "-q", "--soft", first)
			gitIn(t, dir, "replace", first, second)
		}, true},
		{"a submodule with a change inside", func(t *testing.T, dir string) {
			other := repository(t)
			gitIn(t, dir, "submodule", "--quiet", "add", other, "vendor/other")
			gitIn(t, dir, "commit", "-qm", "second")
			at(t, dir, "vendor/other/site.yml", "- hosts: none\n")
		}, true},
		{"a file changed that a clean filter of this clone turns back", func(t *testing.T, dir string) {
			gitIn(t, dir, "config", "filter.hide.clean", "git show HEAD:%f")
			at(t, dir, ".git/info/attributes", "site.yml filter=hide\n")
			at(t, dir, "site.yml", "- hosts: none\n")
		}, true},
		{"a file changed that a clean filter of this user turns back", func(t *testing.T, dir string) {
			gitIn(t, dir, "config", "filter.hide.clean", "git show HEAD:%f")
			at(t, dir, ".git/mine", "site.yml filter=hide\n")
			gitIn(t, dir, "config", "core.attributesFile", filepath.Join(dir, ".git/mine"))
			at(t, dir, "site.yml", "- hosts: none\n")
		}, true},
		{"a file changed where ident of a committed .gitattributes hides it", func(t *testing.T, dir string) {
			at(t, dir, ".gitattributes", "*.yml ident\n")
			at(t, dir, "site.yml", "- hosts: all # $Id$\n")
			gitIn(t, dir, "add", ".")
			gitIn(t, dir, "commit", "-qm", "second")
			at(t, dir, "site.yml", "- hosts: all # $Id: anything at all $\n")
		}, true},
		{"line ends changed where a committed .gitattributes normalises them", func(t *testing.T, dir string) {
			at(t, dir, ".gitattributes", "*.yml text eol=crlf\n")
			gitIn(t, dir, "add", ".")
			gitIn(t, dir, "commit", "-qm", "second")
			at(t, dir, "site.yml", "- hosts: all\r\n")
		}, true},
		{"line ends changed where this clone normalises them", func(t *testing.T, dir string) {
			gitIn(t, dir, "config", "core.autocrlf", "input")
			at(t, dir, "site.yml", "- hosts: all\r\n")
		}, true},
		{"line ends that are committed as they are", func(t *testing.T, dir string) {
			at(t, dir, "site.yml", "- hosts: all\r\n")
			gitIn(t, dir, "commit", "-qam", "second")
			gitIn(t, dir, "config", "core.autocrlf", "input")
		}, false},
		{"an encoding changed where an attribute normalises it", func(t *testing.T, dir string) {
			at(t, dir, ".git/info/attributes", "site.yml working-tree-encoding=UTF-16LE\n")
			wide := ""
			for _, c := range "- hosts: all\n" {
				wide += string(c) + "\x00"
			}
			at(t, dir, "site.yml", wide)
		}, true},
		{"a link replaced by a file of the same text, where links are not looked at", func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink("site.yml", filepath.Join(dir, "main.yml")))
			gitIn(t, dir, "add", ".")
			gitIn(t, dir, "commit", "-qm", "second")
			gitIn(t, dir, "config", "core.symlinks", "false")
			require.NoError(t, os.Remove(filepath.Join(dir, "main.yml")))
			at(t, dir, "main.yml", "site.yml")
		}, true},
		{"a link that is committed", func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink("site.yml", filepath.Join(dir, "main.yml")))
			gitIn(t, dir, "add", ".")
			gitIn(t, dir, "commit", "-qm", "second")
		}, false},
		{"a folder replaced by a link to its copy", func(t *testing.T, dir string) {
			copied := t.TempDir()
			at(t, copied, "tasks/main.yml", "- debug:\n")
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "roles/web")))
			require.NoError(t, os.Symlink(copied, filepath.Join(dir, "roles/web")))
		}, true},
		{"a file changed, and another working tree named by core.worktree", func(t *testing.T, dir string) {
			other := t.TempDir()
			gitIn(t, dir, "--work-tree="+other, "checkout", "-q", "-f", "HEAD", "--", ".")
			gitIn(t, dir, "config", "core.worktree", other)
			at(t, dir, "site.yml", "- hosts: none\n")
		}, true},
		{"a file in another case where case is not looked at", func(t *testing.T, dir string) {
			gitIn(t, dir, "config", "core.ignoreCase", "true")
			at(t, dir, "Site.yml", "- hosts: none\n")
		}, true},
		{"a sparse checkout", func(t *testing.T, dir string) {
			gitIn(t, dir, "sparse-checkout", "set", "--no-cone", "/roles", "/.gitignore")
		}, true},
		{"an ignored file that only the index holds", func(t *testing.T, dir string) {
			at(t, dir, "site.retry", "x")
			gitIn(t, dir, "add", "-f", "site.retry")
		}, false},
		{"a submodule whose own attributes hide a change", func(t *testing.T, dir string) {
			other := repository(t)
			gitIn(t, dir, "submodule", "--quiet", "add", other, "vendor/other")
			gitIn(t, dir, "commit", "-qm", "second")
			inner := filepath.Join(dir, "vendor/other")
			gitIn(t, inner, "config", "filter.hide.clean", "git show HEAD:%f")
			at(t, dir, ".git/modules/vendor/other/info/attributes", "site.yml filter=hide\n")
			at(t, inner, "site.yml", "- hosts: none\n")
		}, true},
		{"a submodule as it was committed", func(t *testing.T, dir string) {
			other := repository(t)
			gitIn(t, dir, "submodule", "--quiet", "add", other, "vendor/other")
			gitIn(t, dir, "commit", "-qm", "second")
		}, false},
		{"a submodule that is not checked out", func(t *testing.T, dir string) {
			other := repository(t)
			gitIn(t, dir, "submodule", "--quiet", "add", other, "vendor/other")
			gitIn(t, dir, "commit", "-qm", "second")
			gitIn(t, dir, "submodule", "--quiet", "deinit", "-f", "vendor/other")
		}, false},
		{"a submodule at another commit", func(t *testing.T, dir string) {
			other := repository(t)
			gitIn(t, dir, "submodule", "--quiet", "add", other, "vendor/other")
			gitIn(t, dir, "commit", "-qm", "second")
			gitIn(t, filepath.Join(dir, "vendor/other"), "commit", "-q", "--allow-empty", "-m", "third")
		}, true},
		{"a repository within, not added", func(t *testing.T, dir string) {
			at(t, dir, "inner/x.yml", "x\n")
			gitIn(t, filepath.Join(dir, "inner"), "init", "-q")
			gitIn(t, filepath.Join(dir, "inner"), "add", ".")
			gitIn(t, filepath.Join(dir, "inner"), "commit", "-qm", "x")
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t)
			c.do(t, dir)
			status := gitIn(t, dir, "status", "--porcelain")
			objects := gitIn(t, dir, "count-objects", "-v")
			tree, err := Of(t.Context(), run.Exec{}, filepath.Join(dir, "roles"))
			require.NoError(t, err)
			assert.Equal(t, c.dirty, tree.Dirty, tree.Reason)
			assert.Equal(t, c.dirty, tree.Reason != "")
			commit := gitIn(t, dir, "rev-parse", "HEAD")
			assert.Equal(t, commit, tree.Commit)
			if !c.dirty {
				assert.Equal(t, gitIn(t, dir, "rev-parse", "HEAD^{tree}"), tree.Tree)
			}
			assert.Equal(t, status, gitIn(t, dir, "status", "--porcelain"), "the repository is only read")
			assert.Equal(t, objects, gitIn(t, dir, "count-objects", "-v"))
		})
	}
}

func TestADirtyTreeSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(t *testing.T, dir string)
		want string
	}{
		{"a sparse checkout", func(t *testing.T, dir string) {
			gitIn(t, dir, "sparse-checkout", "set", "--no-cone", "/site.yml", "/.gitignore")
		}, `"roles/web/tasks/main.yml": missing; the checkout is sparse: run ` + "`git sparse-checkout disable`"},
		{"a file system without the executable bit", func(t *testing.T, dir string) {
			at(t, dir, "run.sh", "true\n")
			require.NoError(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o755))
			gitIn(t, dir, "add", ".")
			gitIn(t, dir, "commit", "-qm", "second")
			gitIn(t, dir, "config", "core.fileMode", "false")
			require.NoError(t, os.Chmod(filepath.Join(dir, "run.sh"), 0o644))
		}, `"run.sh": mode 100644, and 100755 in the commit; core.fileMode is false: use a file system that keeps the executable bit`},
		{"several files", func(t *testing.T, dir string) {
			at(t, dir, "a.yml", "")
			at(t, dir, "b.yml", "")
		}, `"a.yml": not committed (2 files in all)`},
		{"a submodule", func(t *testing.T, dir string) {
			other := repository(t)
			gitIn(t, dir, "submodule", "--quiet", "add", other, "vendor/other")
			gitIn(t, dir, "commit", "-qm", "second")
			at(t, dir, "vendor/other/new.yml", "")
		}, `"vendor/other": in the submodule: "new.yml": not committed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t)
			c.do(t, dir)
			tree, err := Of(t.Context(), run.Exec{}, dir)
			require.NoError(t, err)
			assert.Equal(t, c.want, tree.Reason)
		})
	}
}

func TestAFileThatOnlyTheIndexHoldsIsInNoTree(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	at(t, dir, "site.retry", "x")
	gitIn(t, dir, "add", "-f", "site.retry")
	holds, err := Holds(t.Context(), run.Exec{}, dir, filepath.Join(dir, "site.retry"))
	require.NoError(t, err)
	assert.False(t, holds)
	holds, err = Holds(t.Context(), run.Exec{}, dir, filepath.Join(dir, "site.yml"))
	require.NoError(t, err)
	assert.True(t, holds)
}

func TestATreeOfSHA256ObjectsIsTheCommitsTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at(t, dir, "site.yml", "- hosts: all\n")
	gitIn(t, dir, "init", "-q", "--object-format=sha256")
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "-qm", "first")
	tree, err := Of(t.Context(), run.Exec{}, dir)
	require.NoError(t, err)
	assert.Equal(t, gitIn(t, dir, "rev-parse", "HEAD^{tree}"), tree.Tree)
	assert.False(t, tree.Dirty)
}

func TestTwoTreesThatDifferOnlyInWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	at(t, dir, "new.yml", "one\n")
	one, err := Of(t.Context(), run.Exec{}, dir)
	require.NoError(t, err)
	at(t, dir, "new.yml", "two\n")
	two, err := Of(t.Context(), run.Exec{}, dir)
	require.NoError(t, err)
	assert.NotEqual(t, one.Tree, two.Tree)
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "-qm", "second")
	assert.Equal(t, two.Tree, gitIn(t, dir, "rev-parse", "HEAD^{tree}"), "what was there is what was committed then")
}

func TestAFolderWithoutARepositoryIsAnError(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	gitIn(t, empty, "init", "-q")
	for _, dir := range []string{filepath.Join(t.TempDir(), "missing"), empty} {
		_, err := Of(t.Context(), run.Exec{}, dir)
		require.ErrorContains(t, err, "reading the working tree of the repository "+dir)
		assert.NotContains(t, err.Error(), "\n")
	}
}
