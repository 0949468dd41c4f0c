// SPDX-License-Identifier: GPL-3.0-or-later

// Package tree computes the hash of a Git working tree from the files on disk,
// byte by byte.
package tree

import (
	"bytes"
	"context"
	"crypto/sha1" // git's object ids
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/arcodange-org/sandbox/internal/run"
)

// State is the content of a working tree.
type State struct {
	Repository string `json:"repository"`       // its name in the promotion policy
	Commit     string `json:"commit"`           // hash of HEAD
	Tree       string `json:"tree"`             // hash of the files, uncommitted changes and untracked files included
	Dirty      bool   `json:"dirty"`            // Tree is not that of Commit
	Reason     string `json:"reason,omitempty"` // the first difference, if Dirty
}

// Of returns the state of the working tree of the repository at dir from its
// files on disk: bytes, kind and executable bit. It applies none of git's
// conversions (clean filters, ident, line ends, encodings, core.symlinks,
// core.fileMode, core.worktree, flags of the index), since the files ran, not
// their committed form.
//
// Untracked files count unless a .gitignore of the tree matches them; exclusions
// outside the tree (info/exclude, core.excludesFile) are ignored. Submodules
// are compared the same way.
//
// The repository is only read: a private index and object folder are used and
// removed. The field Repository is left for the caller to set.
func Of(ctx context.Context, runner run.Runner, dir string) (State, error) {
	tree, err := stateOf(ctx, runner, dir)
	if err != nil {
		return State{}, fmt.Errorf("reading the working tree of the repository %s: %w", dir, err)
	}
	return tree, nil
}

// Top returns the top folder of the working tree that contains dir.
func Top(ctx context.Context, runner run.Runner, dir string) (string, error) {
	g, err := openGit(ctx, runner, dir)
	if err != nil {
		return "", fmt.Errorf("finding the working tree of the repository %s: %w", dir, err)
	}
	return g.dir, nil
}

// Holds returns whether the tree that Of returns for top contains path, or anything below it.
func Holds(ctx context.Context, runner run.Runner, top, path string) (bool, error) {
	failed := func(err error) (bool, error) {
		return false, fmt.Errorf("looking for %s in the repository %s: %w", path, top, err)
	}
	g, err := openGit(ctx, runner, top)
	if err != nil {
		return failed(err)
	}
	scratch, err := os.MkdirTemp("", "arcodange-tree-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(scratch)
	if _, err := g.indexOf(ctx, scratch, "HEAD"); err != nil {
		return failed(err)
	}
	g.env = append(g.env, "GIT_LITERAL_PATHSPECS=1")
	// The private index has HEAD: changes that are only in the repository's index are ignored.
	found, err := g.run(ctx, nil, "ls-files", "-z", "--cached", "--others", "--exclude-per-directory=.gitignore", "--", path)
	if err != nil {
		return failed(err)
	}
	// A nested repository is listed as a folder, and its files are not in the tree.
	for name := range strings.SplitSeq(strings.TrimSuffix(string(found), "\x00"), "\x00") {
		if name != "" && !strings.HasSuffix(name, "/") {
			return true, nil
		}
	}
	return false, nil
}

// entry is a file as `git ls-tree` lists it.
type entry struct{ mode, id string }

const (
	modeFile       = "100644"
	modeExecutable = "100755"
	modeLink       = "120000"
	modeSubmodule  = "160000"
)

func stateOf(ctx context.Context, runner run.Runner, dir string) (State, error) {
	scratch, err := os.MkdirTemp("", "arcodange-tree-")
	if err != nil {
		return State{}, err
	}
	defer os.RemoveAll(scratch)
	g, err := openGit(ctx, runner, dir)
	if err != nil {
		return State{}, err
	}
	commit, err := g.text(ctx, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return State{}, err
	}
	committed, err := g.text(ctx, "rev-parse", "--verify", commit+"^{tree}")
	if err != nil {
		return State{}, err
	}
	tracked, err := g.tracked(ctx, commit)
	if err != nil {
		return State{}, err
	}
	indexFile, err := g.indexOf(ctx, scratch, commit)
	if err != nil {
		return State{}, err
	}
	others, err := g.run(ctx, nil, "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore")
	if err != nil {
		return State{}, err
	}
	l := lister{git: g, top: g.dir, folders: map[string]bool{}}
	if l.newHash, err = g.hash(ctx); err != nil {
		return State{}, err
	}
	var list bytes.Buffer
	add := func(path string, e entry) { fmt.Fprintf(&list, "%s %s\t%s\x00", e.mode, e.id, path) }
	for _, path := range slices.Sorted(maps.Keys(tracked)) {
		found, ok, err := l.entry(ctx, path, tracked[path])
		if err != nil {
			return State{}, err
		}
		if ok {
			add(path, found)
		}
	}
	for path := range strings.SplitSeq(strings.TrimSuffix(string(others), "\x00"), "\x00") {
		if path == "" {
			continue
		}
		l.differs(path, "not committed")
		if strings.HasSuffix(path, "/") {
			continue // a nested repository that is not a submodule: its files are not in this tree
		}
		found, ok, err := l.entry(ctx, path, entry{})
		if err != nil {
			return State{}, err
		}
		if ok {
			add(path, found)
		}
	}
	// write-tree needs no objects: only the hash of the tree is of interest.
	if err := os.Remove(indexFile); err != nil {
		return State{}, err
	}
	if _, err := g.run(ctx, list.Bytes(), "update-index", "-z", "--index-info"); err != nil {
		return State{}, err
	}
	found, err := g.text(ctx, "write-tree", "--missing-ok")
	if err != nil {
		return State{}, err
	}
	if found != committed && len(l.reasons) == 0 {
		return State{}, fmt.Errorf("tree %s: differs from tree %s of the commit in no file; run `git fsck`", found, committed)
	}
	return State{Commit: commit, Tree: found, Dirty: len(l.reasons) > 0, Reason: l.reason(ctx)}, nil
}

// lister reads the files of a working tree and collects how they differ from the commit.
type lister struct {
	git
	top     string
	newHash func() hash.Hash
	folders map[string]bool // relative path → is a folder, not a link
	reasons []string
	missing bool // a file of the commit does not exist, or lacks its executable bit
}

func (l *lister) differs(path, how string) {
	l.reasons = append(l.reasons, fmt.Sprintf("%q: %s", path, how))
}

// reason returns the first difference, the number of others, and a possible cause.
func (l *lister) reason(ctx context.Context) string {
	if len(l.reasons) == 0 {
		return ""
	}
	text := l.reasons[0]
	if more := len(l.reasons) - 1; more > 0 {
		text += fmt.Sprintf(" (%d files in all)", more+1)
	}
	if !l.missing {
		return text
	}
	if sparse, err := l.text(ctx, "config", "--worktree", "--type=bool", "core.sparseCheckout"); err == nil && sparse == "true" {
		text += "; the checkout is sparse: run `git sparse-checkout disable`"
	} else if fileMode, err := l.text(ctx, "config", "--local", "--type=bool", "core.fileMode"); err == nil && fileMode == "false" {
		text += "; core.fileMode is false: use a file system that keeps the executable bit"
	}
	return text
}

// entry reads one file. wanted is the commit's entry at that path, empty for none;
// ok is false if a tree cannot contain the file.
func (l *lister) entry(ctx context.Context, path string, wanted entry) (found entry, ok bool, err error) {
	full := filepath.Join(l.top, filepath.FromSlash(path))
	info, err := os.Lstat(full)
	switch {
	case err == nil && !l.inside(path): // a parent folder is a link
		l.differs(path, "a folder above it is a link")
		return entry{}, false, nil
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		l.missing = true
		l.differs(path, "missing")
		return entry{}, false, nil
	case err != nil:
		return entry{}, false, err
	case wanted.mode == modeSubmodule:
		return l.submodule(ctx, path, full, info, wanted)
	}
	switch {
	case info.Mode().IsRegular():
		found.mode = modeFile
		if info.Mode()&0o100 != 0 {
			found.mode = modeExecutable
		}
		if found.id, err = l.fileID(full); err != nil {
			return entry{}, false, err
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(full)
		if err != nil {
			return entry{}, false, err
		}
		found = entry{modeLink, l.blobID(int64(len(target)), strings.NewReader(target))}
	default:
		l.differs(path, "not a regular file or a link")
		return entry{}, false, nil
	}
	switch {
	case wanted == entry{} || found == wanted:
	case found.id != wanted.id:
		l.differs(path, "its bytes are not those of the commit (a filter, line ends or an encoding of git may have changed them at checkout)")
	default:
		l.missing = l.missing || wanted.mode == modeExecutable
		l.differs(path, fmt.Sprintf("mode %s, and %s in the commit", found.mode, wanted.mode))
	}
	return found, true, nil
}

// inside returns whether all parents of path are folders of the tree.
func (l *lister) inside(path string) bool {
	folder, _ := filepath.Split(filepath.FromSlash(path))
	folder = filepath.Clean(folder)
	if folder == "." {
		return true
	}
	ok, known := l.folders[folder]
	if !known {
		info, err := os.Lstat(filepath.Join(l.top, folder))
		ok = err == nil && info.IsDir() && l.inside(folder)
		l.folders[folder] = ok
	}
	return ok
}

// submodule compares the working tree of a submodule with the commit that is
// recorded for it. One that was never checked out is an empty folder.
func (l *lister) submodule(ctx context.Context, path, full string, info fs.FileInfo, wanted entry) (entry, bool, error) {
	if !info.IsDir() {
		l.differs(path, "not a submodule")
		return entry{}, false, nil
	}
	if _, err := os.Lstat(filepath.Join(full, ".git")); errors.Is(err, fs.ErrNotExist) {
		files, err := os.ReadDir(full)
		if err == nil && len(files) > 0 {
			l.differs(path, "holds files, but is not a checkout of the submodule")
		}
		return wanted, true, err
	}
	tree, err := Of(ctx, l.runner, full)
	if err != nil {
		return entry{}, false, err
	}
	if tree.Commit != wanted.id {
		l.differs(path, "the submodule is at another commit")
	}
	if tree.Dirty {
		l.differs(path, "in the submodule: "+tree.Reason)
	}
	return entry{modeSubmodule, tree.Commit}, true, nil
}

func (l *lister) fileID(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: not a regular file any more; run again when nothing writes there", path)
	}
	counted := &io.LimitedReader{R: file, N: info.Size() + 1}
	id := l.blobID(info.Size(), counted)
	if counted.N != 1 {
		return "", fmt.Errorf("%s: changed while it was read; run again when nothing writes there", path)
	}
	return id, nil
}

// blobID is the object id of content as git computes it (gitformat-pack(5): type, size and NUL before the content).
func (l *lister) blobID(size int64, content io.Reader) string {
	h := l.newHash()
	fmt.Fprintf(h, "blob %d\x00", size)
	_, _ = io.Copy(h, content) // the caller sees a short read by the count
	return hex.EncodeToString(h.Sum(nil))
}

// hash is the hash of the repository's object format.
func (g git) hash(ctx context.Context) (func() hash.Hash, error) {
	format, err := g.text(ctx, "rev-parse", "--show-object-format")
	switch {
	case err != nil:
		return nil, err
	case format == "sha1":
		return sha1.New, nil
	case format == "sha256":
		return sha256.New, nil
	}
	return nil, fmt.Errorf("object format %q: not known; use a repository of sha1 or sha256", format)
}

// tracked lists the files of a commit.
func (g git) tracked(ctx context.Context, commit string) (map[string]entry, error) {
	out, err := g.run(ctx, nil, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	files := map[string]entry{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if line == "" {
			continue
		}
		about, path, _ := strings.Cut(line, "\t")
		words := strings.Fields(about)
		if len(words) != 3 {
			return nil, fmt.Errorf("git ls-tree: unexpected line %q", line)
		}
		files[path] = entry{words[0], words[2]}
	}
	return files, nil
}

// indexOf gives g a private index that holds commit, and a private object
// folder. A new index has no flags (assume-unchanged, skip-worktree).
func (g *git) indexOf(ctx context.Context, scratch, commit string) (indexFile string, err error) {
	objects, err := g.text(ctx, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return "", err
	}
	fresh := filepath.Join(scratch, "objects")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return "", err
	}
	indexFile = filepath.Join(scratch, "index")
	g.env = append(g.env, "GIT_INDEX_FILE="+indexFile, "GIT_OBJECT_DIRECTORY="+fresh, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+quoteAlternate(objects))
	_, err = g.run(ctx, nil, "read-tree", commit)
	return indexFile, err
}

// openGit finds the repository that contains dir by the folder or file .git at or
// above it. It passes both paths to git, since core.worktree could set another working tree.
func openGit(ctx context.Context, runner run.Runner, dir string) (git, error) {
	g := git{runner: runner, dir: dir, env: GitEnv(os.Environ())}
	gitDir, err := g.text(ctx, "rev-parse", "--path-format=absolute", "--git-dir") // checks the owner too
	if err != nil {
		return git{}, err
	}
	top, err := filepath.Abs(dir)
	if err == nil {
		top, err = filepath.EvalSymlinks(top)
	}
	if err != nil {
		return git{}, err
	}
	for {
		if _, err := os.Lstat(filepath.Join(top, ".git")); err == nil {
			break
		}
		if top == filepath.Dir(top) {
			return git{}, fmt.Errorf("%s: no working tree; give a path inside a checkout, not a bare repository", dir)
		}
		top = filepath.Dir(top)
	}
	g.dir = top
	g.env = append(g.env, "GIT_DIR="+gitDir, "GIT_WORK_TREE="+top)
	return g, nil
}

// GitEnv returns env without variables that select another repository or change
// git's view of this one.
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
		"-c", "core.untrackedCache=false", "-c", "core.splitIndex=false", "-c", "core.ignoreCase=false", "-c", "core.sparseCheckout=false"}
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
