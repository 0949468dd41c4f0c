// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
)

// TreeOf tells what really lies in the working tree of the repository at dir:
// what git would commit if everything were added, untracked files included.
// Files that .gitignore names are left out, as from a commit; the exclusions
// that live outside the tree (info/exclude, core.excludesFile) hide nothing.
//
// The repository is only read: a private index and object folder are used and
// removed. Repository is left for the caller to set.
func TreeOf(ctx context.Context, runner run.Runner, dir string) (Tree, error) {
	tree, err := treeOf(ctx, runner, dir)
	if err != nil {
		return Tree{}, fmt.Errorf("finding what lies in the repository %s: %w", dir, err)
	}
	return tree, nil
}

// Top is the top of the working tree in which dir lies.
func Top(ctx context.Context, runner run.Runner, dir string) (string, error) {
	g := git{runner: runner, dir: dir, env: GitEnv(os.Environ())}
	top, err := g.text(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("finding the working tree of the repository %s: %w", dir, err)
	}
	return top, nil
}

// Holds tells whether what TreeOf takes for the tree at top holds path, or anything below it.
func Holds(ctx context.Context, runner run.Runner, top, path string) (bool, error) {
	g := git{runner: runner, dir: top, env: append(GitEnv(os.Environ()), "GIT_LITERAL_PATHSPECS=1")}
	found, err := g.run(ctx, nil, "ls-files", "-z", "--cached", "--others", "--exclude-per-directory=.gitignore", "--", path)
	if err != nil {
		return false, fmt.Errorf("looking for %s in the repository %s: %w", path, top, err)
	}
	// A repository within is listed as a folder, and what it holds is not in the tree.
	for name := range strings.SplitSeq(strings.TrimSuffix(string(found), "\x00"), "\x00") {
		if name != "" && !strings.HasSuffix(name, "/") {
			return true, nil
		}
	}
	return false, nil
}

func treeOf(ctx context.Context, runner run.Runner, dir string) (Tree, error) {
	scratch, err := os.MkdirTemp("", "arcodange-tree-")
	if err != nil {
		return Tree{}, err
	}
	defer os.RemoveAll(scratch)
	g := git{runner: runner, dir: dir, env: GitEnv(os.Environ())}
	objects, err := g.text(ctx, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return Tree{}, err
	}
	top, err := g.text(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel")
	if err != nil {
		return Tree{}, err
	}
	g.dir = top
	commit, err := g.text(ctx, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return Tree{}, err
	}
	committed, err := g.text(ctx, "rev-parse", "--verify", commit+"^{tree}")
	if err != nil {
		return Tree{}, err
	}
	fresh := filepath.Join(scratch, "objects")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return Tree{}, err
	}
	g.env = append(g.env, "GIT_INDEX_FILE="+filepath.Join(scratch, "index"), "GIT_OBJECT_DIRECTORY="+fresh,
		"GIT_ALTERNATE_OBJECT_DIRECTORIES="+quoteAlternate(objects))
	// A new index has no flags (assume-unchanged, skip-worktree) and no times
	// by which a changed file could pass for an unchanged one.
	if _, err := g.run(ctx, nil, "read-tree", commit); err != nil {
		return Tree{}, err
	}
	if _, err := g.run(ctx, nil, "add", "--update", "--", "."); err != nil {
		return Tree{}, err
	}
	others, err := g.run(ctx, nil, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore")
	if err != nil {
		return Tree{}, err
	}
	if len(others) > 0 {
		if _, err := g.run(ctx, others, "update-index", "--add", "-z", "--stdin"); err != nil {
			return Tree{}, err
		}
	}
	found, err := g.text(ctx, "write-tree")
	if err != nil {
		return Tree{}, err
	}
	// A repository within that is no submodule cannot be added: git passes it over.
	inner := bytes.Contains(append(others, 0), []byte("/\x00"))
	dirty := found != committed || inner
	if !dirty {
		// What a submodule holds is not in the tree, only at which commit it stands.
		inside, err := g.run(ctx, nil, "diff-files", "--name-only", "--ignore-submodules=none")
		if err != nil {
			return Tree{}, err
		}
		dirty = len(inside) > 0
	}
	return Tree{Commit: commit, Tree: found, Dirty: dirty}, nil
}

// GitEnv is env without what would point git to another repository or change
// what it shows of this one.
func GitEnv(env []string) []string {
	kept := make([]string, 0, len(env)+4)
	for _, entry := range env {
		if !strings.HasPrefix(entry, "GIT_") {
			kept = append(kept, entry)
		}
	}
	return append(kept, "GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C.UTF-8")
}

type git struct {
	runner run.Runner
	dir    string
	env    []string
}

func (g git) run(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	settings := []string{"-C", g.dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.fileMode=true",
		"-c", "core.untrackedCache=false", "-c", "core.splitIndex=false", "-c", "advice.addEmbeddedRepo=false"}
	res, err := g.runner.Run(ctx, run.Cmd{Name: "git", Args: append(settings, args...), Env: g.env, Stdin: bytes.NewReader(stdin)})
	return res.Stdout, err
}

func (g git) text(ctx context.Context, args ...string) (string, error) {
	out, err := g.run(ctx, nil, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// quoteAlternate writes a path for GIT_ALTERNATE_OBJECT_DIRECTORIES, in which a
// colon separates (git(1)).
func quoteAlternate(path string) string {
	if !strings.ContainsAny(path, ":\"\\\n") {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}
