// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// history reads commits and trees with git's plumbing commands. It turns off
// all settings of the repository, its files and the environment that
// change the result: replaced and grafted commits, the commit graph's
// cache, ignored submodules, renames, diff orders, external programs.
type history struct {
	runner run.Runner
	dir    string
	env    []string
}

func open(runner run.Runner, dir string, env []string) history {
	return history{runner: runner, dir: dir, env: append(tree.GitEnv(env), "GIT_GRAFT_FILE="+os.DevNull, "GIT_NO_LAZY_FETCH=1")}
}

func (h history) git(ctx context.Context, stdin []byte, args ...string) (run.Result, error) {
	settings := []string{
		"-C", h.dir, "--no-pager", "--literal-pathspecs", "-c", "core.commitGraph=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.fsmonitor=false",
		"-c", "core.warnAmbiguousRefs=true", "-c", "advice.objectNameWarning=true",
		"-c", "advice.graftFileDeprecated=false", "-c", "protocol.allow=never", // no fetches
	}
	return h.runner.Run(ctx, run.Cmd{Name: "git", Args: append(settings, args...), Env: h.env, Stdin: bytes.NewReader(stdin)})
}

func (h history) out(ctx context.Context, args ...string) ([]byte, error) {
	res, err := h.git(ctx, nil, args...)
	return res.Stdout, err
}

func (h history) line(ctx context.Context, args ...string) (string, error) {
	out, err := h.out(ctx, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// whole returns an error for a shallow or partial clone.
func (h history) whole(ctx context.Context) error {
	shallow, err := h.line(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return err
	}
	if shallow != "false" {
		return errors.New("the clone is shallow, so commits may be missing: `git fetch --unshallow`, or check out with the whole history")
	}
	res, err := h.git(ctx, nil, "config", "--get-regexp", `^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$`)
	if res.Code == 1 {
		return nil // not set
	}
	if err != nil {
		return err
	}
	return errors.New("the clone is partial, so files may be missing: clone it whole, without --filter")
}

// commit returns the hash of the commit with a name. An ambiguous name is an error.
func (h history) commit(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", errors.New("no commit is named")
	}
	res, err := h.git(ctx, nil, "rev-parse", "--verify", "--end-of-options", name+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("%q is not a commit of this repository: %w", name, err)
	}
	hash := strings.TrimSpace(string(res.Stdout))
	if said := run.LastLine(res.Stderr); said != "" {
		return "", fmt.Errorf("%q is ambiguous: git printed %q; give the hash of the commit, or refs/heads/ and the branch", name, said)
	}
	if !isHash(hash) {
		return "", fmt.Errorf("%q is not a single commit", name)
	}
	return hash, nil
}

func isHash(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && (len(raw) == 20 || len(raw) == 32)
}

// nothing returns whether name is all zeros, git's name for a missing commit.
func nothing(name string) bool { return len(name) >= 40 && strings.Trim(name, "0") == "" }

// ancestor returns whether the commit base is head or an ancestor of it.
func (h history) ancestor(ctx context.Context, base, head string) (bool, error) {
	res, err := h.git(ctx, nil, "merge-base", "--is-ancestor", base, head)
	if res.Code == 1 {
		return false, nil
	}
	return err == nil, err
}

// when returns the time in a commit.
func (h history) when(ctx context.Context, commit string) (time.Time, error) {
	text, err := h.out(ctx, "cat-file", "commit", commit)
	if err != nil {
		return time.Time{}, err
	}
	head, _, _ := strings.Cut(string(text), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		// "committer Name <address> 1764034727 +0100"
		if about, ok := strings.CutPrefix(line, "committer "); ok {
			words := strings.Fields(about[strings.LastIndexByte(about, '>')+1:])
			if len(words) > 0 {
				if seconds, err := strconv.ParseInt(words[0], 10, 64); err == nil {
					return time.Unix(seconds, 0), nil
				}
			}
		}
	}
	return time.Time{}, fmt.Errorf("the commit %s states no time", commit)
}

// touched is a file that some commit of the range, or the range as a whole,
// adds, removes or changes in content, mode or kind.
type touched struct {
	Path    string // any bytes
	Commits int    // that touched it
	Net     bool   // it differs between base and head
}

// touched lists every file of the range, in order. It compares merges with
// each parent, so that changes from all sides are included, and does not
// detect renames, so that the old and the new name both count. Without
// base the range is the whole history of head.
func (h history) touched(ctx context.Context, base, head string) ([]touched, int, error) {
	args := []string{"rev-list", head}
	from := ""
	if base != "" {
		args = append(args, "^"+base)
		from = base + "^{tree}"
	}
	commits, err := h.out(ctx, append(args, "--")...)
	if err != nil {
		return nil, 0, err
	}
	compare := func(more ...string) []string {
		return append([]string{"diff-tree", "-r", "-m", "-z", "--root", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv",
			"--no-relative", "--ignore-submodules=none", "-O" + os.DevNull}, more...)
	}
	res, err := h.git(ctx, commits, compare("--stdin")...)
	if err != nil {
		return nil, 0, err
	}
	found := map[string]*touched{}
	at := func(path string) *touched {
		if found[path] == nil {
			found[path] = &touched{Path: path}
		}
		return found[path]
	}
	last := map[string]string{} // path → last counted commit, since a merge lists a path several times
	err = changes(res.Stdout, func(commit, path string) {
		if last[path] != commit {
			last[path] = commit
			at(path).Commits++
		}
	})
	if err != nil {
		return nil, 0, err
	}
	if from == "" {
		if from, err = h.emptyTree(ctx); err != nil {
			return nil, 0, err
		}
	}
	net, err := h.out(ctx, compare("--no-commit-id", from, head+"^{tree}")...)
	if err != nil {
		return nil, 0, err
	}
	if err := changes(net, func(_, path string) { at(path).Net = true }); err != nil {
		return nil, 0, err
	}
	list := make([]touched, 0, len(found))
	for _, one := range found {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b touched) int { return strings.Compare(a.Path, b.Path) })
	return list, bytes.Count(commits, []byte("\n")), nil
}

// changes parses the output of `git diff-tree --raw -z`: each commit's hash
// and its changes, each with its modes and hashes, and a path.
func changes(out []byte, each func(commit, path string)) error {
	commit := ""
	for len(out) > 0 {
		field, rest, ends := bytes.Cut(out, []byte{0})
		if !ends {
			return errors.New("git's list of changes is truncated")
		}
		out = rest
		if isHash(string(field)) {
			commit = string(field)
			continue
		}
		// ":100644 100644 <hash> <hash> M"
		words := strings.Fields(string(field))
		if len(words) != 5 || !strings.HasPrefix(words[0], ":") || len(words[4]) != 1 || !strings.Contains("ADMT", words[4]) || !isHash(words[2]) || !isHash(words[3]) {
			return fmt.Errorf("git printed an unknown change: %q", field)
		}
		path, rest, ends := bytes.Cut(out, []byte{0})
		if !ends || len(path) == 0 {
			return errors.New("git's list of changes is truncated")
		}
		out = rest
		each(commit, string(path))
	}
	return nil
}

func (h history) emptyTree(ctx context.Context) (string, error) {
	return h.line(ctx, "hash-object", "-t", "tree", "--stdin") // of an empty input
}

// file is one entry of a tree.
type file struct {
	mode string // as git writes it: 100644, 100755, 120000, 160000
	hash string
}

// files lists a tree recursively.
func (h history) files(ctx context.Context, tree string) (map[string]file, error) {
	out, err := h.out(ctx, "ls-tree", "-r", "-z", "--full-tree", tree)
	if err != nil {
		return nil, err
	}
	found := map[string]file{}
	for len(out) > 0 {
		entry, rest, ends := bytes.Cut(out, []byte{0})
		about, path, named := strings.Cut(string(entry), "\t")
		words := strings.Fields(about)
		if !ends || !named || len(words) != 3 || !isHash(words[2]) {
			return nil, fmt.Errorf("git printed %q for a file in the tree %s, which is unknown", entry, tree)
		}
		found[path] = file{mode: words[0], hash: words[2]}
		out = rest
	}
	return found, nil
}

// blob returns the content of a file in a tree; a link is an error.
func (h history) blob(ctx context.Context, files map[string]file, path string) ([]byte, error) {
	f, ok := files[path]
	switch {
	case !ok:
		return nil, fs.ErrNotExist
	case !strings.HasPrefix(f.mode, "100"):
		return nil, errors.New("it is a link or a submodule, and must be a file")
	}
	return h.out(ctx, "cat-file", "blob", f.hash)
}

// Within returns path relative to the working tree at top, if it is inside.
func Within(top, path string) (string, bool) {
	if top == "" {
		return "", false
	}
	name, err := filepath.Rel(pathlink.Canonical(top), filepath.Join(pathlink.Canonical(filepath.Dir(path)), filepath.Base(path)))
	if err != nil || name == ".." || strings.HasPrefix(name, "../") || name == "." {
		return "", false
	}
	return filepath.ToSlash(name), true
}

// show returns a path for messages, quoted if it has unprintable characters.
func show(path string) string {
	if utf8.ValidString(path) && strings.IndexFunc(path, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' }) < 0 {
		return path
	}
	return strconv.QuoteToASCII(path)
}
