// SPDX-License-Identifier: GPL-3.0-or-later

// Package references finds the external references of a run other than its
// inventory: kubeconfig files, the environment, OpenTofu roots, ArgoCD manifests,
// git remotes and key files. It returns the targets of each with its position. It
// makes no connections, and its messages contain no secrets.
//
// A reference that it cannot read or resolve to a target is a finding with a
// problem, which is refused like an unknown target.
package references

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/limitedread"
	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Sources is what to read.
type Sources struct {
	Kubeconfigs []string // files; each has to exist
	Environment bool     // the environment of Reader
	Tofu        []Root
	ArgoCD      []string // files with manifests, or directories of them
	Git         []string // directories of repositories or work trees
	Keys        []string // files: known_hosts, public and private SSH keys, unseal keys of a Vault
}

// Root is a root module of OpenTofu, and what is given to it on the command line.
type Root struct {
	Directory      string
	BackendConfigs []string // files, as for -backend-config
	VarFiles       []string // files, as for -var-file
}

// Finding is one external reference.
type Finding struct {
	Target boundary.Target // From is always set
	// Problem is the reason for a refusal regardless of the target; empty if the checker decides.
	Problem string
	// Known means that it is refused only if the manifest lists it as production. It
	// is different in each sandbox, so it cannot be listed there.
	Known bool
	// Text is searched for mentions of production; it is not a target itself.
	Text string
}

// externalReferenceKind is the kind of a decision about a finding that led to no target.
const externalReferenceKind boundary.Kind = "external_reference"

// Decide checks a finding.
func (f Finding) Decide(ctx context.Context, checker boundary.Checker) boundary.Decision {
	if f.Text != "" {
		// The mention is not repeated: the text may be a secret.
		d := boundary.Decision{Kind: externalReferenceKind, Target: f.Target.Value, From: f.Target.From, Addresses: []string{}, Resolved: []boundary.Answer{}}
		if mentions := checker.Mentions(ctx, f.Text, f.Target.From); len(mentions) > 0 {
			d.Reason, d.Rule = "its value mentions production", mentions[0].Rule
		} else {
			d.Allowed, d.Reason = true, "its value does not mention production"
		}
		return d
	}
	if f.Problem == "" {
		d := checker.Decide(ctx, f.Target)
		if f.Known && !d.Allowed && d.Rule == nil && d.Canonical != "" {
			d.Allowed, d.Reason = true, "the boundary manifest does not list it as production"
		}
		return d
	}
	kind := f.Target.Kind
	if kind == "" {
		kind = externalReferenceKind
	}
	return boundary.Decision{
		Kind: kind, Target: f.Target.Value, From: f.Target.From, Reason: f.Problem, Addresses: []string{}, Resolved: []boundary.Answer{},
	}
}

// Result is a finding with its decision.
type Result struct {
	Finding
	Decision boundary.Decision
}

// Decide checks findings. A text without a mention has no result, nor has one
// at a position that is already refused.
func Decide(ctx context.Context, checker boundary.Checker, found []Finding) []Result {
	results := make([]Result, 0, len(found))
	refused := map[string]bool{}
	for _, f := range found {
		d := f.Decide(ctx, checker)
		if f.Text != "" && (d.Allowed || refused[d.From]) {
			continue
		}
		refused[d.From] = refused[d.From] || !d.Allowed
		results = append(results, Result{f, d})
	}
	return results
}

// Reader reads.
type Reader struct {
	Environ []string   // the environment to read, also for what files leave open
	Home    string     // home directory with default files; empty for none
	Runner  run.Runner // for git
}

// System returns the reader for this process.
func System() Reader {
	home, _ := os.UserHomeDir()
	return Reader{Environ: os.Environ(), Home: home, Runner: run.Exec{}}
}

// Read lists every external reference of the sources.
func (r Reader) Read(ctx context.Context, s Sources) []Finding {
	var found []Finding
	add := func(more []Finding) { found = append(found, more...) }
	for _, file := range s.Kubeconfigs {
		add(r.kubeconfig(file))
	}
	if s.Environment {
		add(r.environment())
	}
	for _, root := range s.Tofu {
		add(r.tofu(root))
	}
	for _, path := range s.ArgoCD {
		add(r.argocd(path))
	}
	for _, directory := range s.Git {
		add(r.git(ctx, directory))
	}
	for _, file := range s.Keys {
		add(r.keys(file))
	}
	return found
}

func target(kind boundary.Kind, value, from string) Finding {
	return Finding{Target: boundary.Target{Kind: kind, Value: value, From: from}}
}

// known is a target that is refused only if the manifest lists it as production.
func known(kind boundary.Kind, value, from string) Finding {
	f := target(kind, value, from)
	f.Known = true
	return f
}

// search is a finding about a text that may mention production.
func search(what, text, from string) Finding {
	f := target(externalReferenceKind, what, from)
	f.Text = text
	return f
}

// problem returns a finding about the thing at from, without its content.
func problem(what, from, format string, args ...any) Finding {
	return Finding{Target: boundary.Target{Value: what, From: from}, Problem: fmt.Sprintf(format, args...)}
}

func at(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }

// reason is an error without the path that the finding names already.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// maxFile is far more than any of these files holds.
const maxFile = 16 << 20

func read(file string) ([]byte, error) { return limitedread.File(file, maxFile) }

// filesIn lists the files of a tree with one of the endings, or file itself. Links to directories are a problem, since they are not followed.
func filesIn(root string, endings ...string) ([]string, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{root}, nil
	}
	var files []string
	err = filepath.WalkDir(root+"/", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git" && path != root+"/":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				return fmt.Errorf("%s is a link to a directory, which is not supported; name the directory as well", path)
			}
		}
		if slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(path, ending) }) {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func (r Reader) getenv(name string) string {
	// The last of a name counts, as for os/exec.
	for _, entry := range slices.Backward(r.Environ) {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

// expand resolves ~/ in a path, and a relative path in a file, as the programs do.
func (r Reader) expand(path, directory string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(r.Home, rest)
	}
	if !filepath.IsAbs(path) {
		return filepath.Join(directory, path)
	}
	return path
}

// shortened cleans an absolute path, unless that is another file because of `..` after a link.
func shortened(path string) string {
	short := filepath.Clean(path)
	if a, err := pathlink.Resolve(path); err == nil {
		if b, err := pathlink.Resolve(short); err == nil && a == b {
			return short
		}
	}
	return path
}
