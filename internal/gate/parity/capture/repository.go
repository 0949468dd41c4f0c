// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/run"
	worktree "github.com/arcodange-org/sandbox/internal/tree"
)

// Repository is a git repository, with a working tree or bare, and the paths to read.
type Repository struct {
	Name string   `arg:"name"` // in all other options
	Path string   `arg:"path"` // its top folder on this machine
	Ref  string   `arg:"ref"`  // to read; HEAD if empty
	Read []string `arg:"read"` // folders and files below the top; all of it if empty
}

// Pinned is a repository at one commit.
type Pinned struct {
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
	Commit     string `json:"commit"`
	// Dirty means that the working tree differs from HEAD. Only
	// the commit is read, never the working tree.
	Dirty bool `json:"dirty"`
}

// maxFile is the maximal size of a file in bytes, far larger than any manifest.
const maxFile = 4 << 20

// file is one entry of a commit's tree.
type file struct {
	Repository string
	Path       string // from the top, with slashes
	Mode       string // as git has it: 100644, 100755, 120000 a symbolic link, 160000 a submodule
	Size       int64  // bytes; -1 for a submodule
	object     string
	Data       []byte // nil until it is fetched
}

// where returns the name of a file in messages, without a path of this machine.
func (f file) where() string { return f.Repository + ":" + f.Path }

// tree is the list of files of a repository at a commit.
type tree struct {
	Pinned
	Files []file // in git's order, which is that of the bytes
	read  []string
	git   git
}

// find returns a file by its path, or nil.
func (t *tree) find(name string) *file {
	for i := range t.Files {
		if t.Files[i].Path == name {
			return &t.Files[i]
		}
	}
	return nil
}

// within reports whether a path is one of the folders, or in one.
func within(name string, folders []string) bool {
	for _, folder := range folders {
		if folder == "." || name == folder || strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}

// git runs git in one repository. It fetches nothing, runs no hook, and ignores
// variables of the environment that set another repository.
type git struct {
	runner run.Runner
	path   string
	env    []string
}

func newGit(runner run.Runner, where string) (git, error) {
	where, err := filepath.Abs(where)
	if err != nil {
		return git{}, err
	}
	// Git would silently fetch missing blobs of a partial clone.
	// The ceiling keeps git from using a repository in a parent folder.
	env := append(worktree.GitEnv(os.Environ()), "GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_CEILING_DIRECTORIES="+filepath.Dir(where))
	return git{runner: runner, path: where, env: env}, nil
}

func (g git) run(ctx context.Context, stdin []byte, args ...string) (run.Result, error) {
	settings := []string{"-C", g.path, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.warnAmbiguousRefs=true"}
	return g.runner.Run(ctx, run.Cmd{Name: "git", Args: append(settings, args...), Env: g.env, Stdin: bytes.NewReader(stdin)})
}

// open pins a repository to the current commit of its ref, and lists its files.
func open(ctx context.Context, runner run.Runner, r Repository) (*tree, error) {
	t, err := openTree(ctx, runner, r)
	if err != nil {
		return nil, fmt.Errorf("reading the repository %s: %w", r.Name, err)
	}
	return t, nil
}

func openTree(ctx context.Context, runner run.Runner, r Repository) (*tree, error) {
	ref := r.Ref
	if ref == "" {
		ref = "HEAD"
	}
	if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, " \t\n^~:?*[\\") || strings.Contains(ref, "..") {
		return nil, fmt.Errorf("%q is not the name of a branch, tag or commit", ref)
	}
	g, err := newGit(runner, r.Path)
	if err != nil {
		return nil, err
	}
	bare, err := g.run(ctx, nil, "rev-parse", "--is-bare-repository")
	if err != nil {
		return nil, fmt.Errorf("%w; give the top folder of a repository", err)
	}
	pinned, err := g.run(ctx, nil, "rev-parse", "--verify", ref+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("%w; fetch it first, nothing is fetched here", err)
	}
	if bytes.Contains(pinned.Stderr, []byte("ambiguous")) {
		return nil, fmt.Errorf("%q names a branch and a tag; write refs/heads/%s or refs/tags/%s", ref, ref, ref)
	}
	t := &tree{Pinned: Pinned{Repository: r.Name, Ref: ref, Commit: strings.TrimSpace(string(pinned.Stdout))}, git: g}
	if strings.TrimSpace(string(bare.Stdout)) == "false" {
		lies, err := worktree.Of(ctx, runner, g.path)
		if err != nil {
			return nil, err
		}
		t.Dirty = lies.Dirty
	}
	listed, err := g.run(ctx, nil, "ls-tree", "-r", "-z", "-l", "--full-tree", t.Commit)
	if err != nil {
		return nil, err
	}
	if t.Files, err = entries(r.Name, listed.Stdout); err != nil {
		return nil, err
	}
	for _, folder := range r.Read {
		clean := path.Clean(folder)
		if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
			return nil, fmt.Errorf("%q in read is outside of the repository", folder)
		}
		t.read = append(t.read, clean)
		found := false
		for _, f := range t.Files {
			found = found || within(f.Path, []string{clean})
		}
		if !found {
			return nil, fmt.Errorf("%q in read is not there at the commit %s", folder, t.Commit)
		}
	}
	if len(t.read) == 0 {
		t.read = []string{"."}
	}
	return t, nil
}

// entries parses the output of git ls-tree -r -z -l: mode, type, object and size, a tab, the path.
func entries(repository string, listed []byte) ([]file, error) {
	var out []file
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		if line == "" {
			continue
		}
		about, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(about)
		if !ok || len(fields) != 4 {
			return nil, fmt.Errorf("git listed %q, which is not understood", line)
		}
		size := int64(-1)
		if fields[3] != "-" {
			var err error
			if size, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
				return nil, fmt.Errorf("git listed %q, which is not understood", line)
			}
		}
		out = append(out, file{Repository: repository, Path: name, Mode: fields[0], Size: size, object: fields[2]})
	}
	return out, nil
}

// fetch reads the content of files from the repository with one process.
func (t *tree) fetch(ctx context.Context, files []*file) error {
	var ask bytes.Buffer
	var wanted []*file
	for _, f := range files {
		if f.Data == nil && f.Size >= 0 && f.Size <= maxFile {
			wanted = append(wanted, f)
			ask.WriteString(f.object + "\n")
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	res, err := t.git.run(ctx, ask.Bytes(), "cat-file", "--batch")
	if err != nil {
		return fmt.Errorf("reading the repository %s: %w", t.Repository, err)
	}
	rest := res.Stdout
	for _, f := range wanted {
		head, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok || string(head) != fmt.Sprintf("%s blob %d", f.object, f.Size) || int64(len(after)) < f.Size+1 {
			return fmt.Errorf("reading the repository %s: %s is not in it (a partial clone?); fetch all of it first", t.Repository, f.Path)
		}
		f.Data, rest = append([]byte{}, after[:f.Size]...), after[f.Size+1:]
	}
	return nil
}
