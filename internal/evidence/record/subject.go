// SPDX-License-Identifier: GPL-3.0-or-later

package record

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// Subject lists the inputs of a run; unused ones are empty.
type Subject struct {
	ReadsInventory bool     // it runs Ansible
	Inventory      []string // sources: paths, or lists of hosts as Ansible takes them
	Boundary       string
	Manifest       string // of parity

	What string // what is checked, as "the playbook"
	Path string // of what is checked
}

// Location is a path in a repository.
type Location struct {
	Repository string `json:"repository"` // its name in the evidence
	Path       string `json:"path"`       // relative to its working tree, with slashes
}

// Complete fills in the inputs that the option leaves out, and returns an error
// if the option differs from the run's inputs. If the option has repositories,
// one of them must contain the subject: Complete returns its location. Nil stays nil.
func (e *Evidence) Complete(ctx context.Context, runner run.Runner, subject Subject) (*Evidence, *Location, error) {
	if e == nil {
		return nil, nil, nil
	}
	full := *e
	for _, one := range []struct {
		name   string
		option *string
		used   string
	}{{"boundary", &full.Boundary, subject.Boundary}, {"manifest", &full.Manifest, subject.Manifest}} {
		switch {
		case one.used == "":
		case *one.option == "":
			*one.option = one.used
		case !same(*one.option, one.used):
			return nil, nil, fmt.Errorf("evidence.%s: the run uses another one (got %s, uses %s); leave the option out", one.name, *one.option, one.used)
		}
	}
	if subject.ReadsInventory {
		if err := full.checkInventory(subject.Inventory); err != nil {
			return nil, nil, err
		}
	}
	if subject.Path == "" || len(full.Repositories) == 0 {
		return &full, nil, nil
	}
	in, err := full.within(ctx, runner, subject)
	return &full, in, err
}

// checkInventory compares the option with the sources. It may name a folder that
// holds them, since its digest then covers them.
func (e *Evidence) checkInventory(sources []string) error {
	if e.Inventory == "" {
		e.sources = sources
		return nil
	}
	if len(sources) == 0 {
		return fmt.Errorf("evidence.inventory: the run takes its inventory from the configuration (got %s); set the inventory of the run too", e.Inventory)
	}
	for _, source := range sources {
		if hostList(source) {
			return fmt.Errorf("evidence.inventory: the run uses a list of hosts (got %s, uses %q); leave the option out", e.Inventory, source)
		}
		if _, inside := below(pathlink.Canonical(e.Inventory), pathlink.Canonical(source)); !inside {
			return fmt.Errorf("evidence.inventory: the run uses another one (got %s, uses %s); leave the option out", e.Inventory, source)
		}
	}
	return nil
}

func (e *Evidence) within(ctx context.Context, runner run.Runner, subject Subject) (*Location, error) {
	path := pathlink.Canonical(subject.Path)
	var found *Location
	var top string
	for _, name := range slices.Sorted(maps.Keys(e.Repositories)) {
		dir, err := e.repository(name)
		if err != nil {
			return nil, err
		}
		tree, err := tree.Top(ctx, runner, dir)
		if err != nil {
			return nil, err
		}
		tree = pathlink.Canonical(tree)
		// Of nested repositories the innermost one counts.
		if relative, inside := below(tree, path); inside && len(tree) > len(top) {
			found, top = &Location{Repository: name, Path: filepath.ToSlash(relative)}, tree
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s %s: not in any of evidence.repositories (%s); add the repository that holds it",
			subject.What, subject.Path, strings.Join(slices.Sorted(maps.Keys(e.Repositories)), ", "))
	}
	if _, err := os.Stat(path); err == nil {
		holds, err := tree.Holds(ctx, runner, top, path)
		if err != nil {
			return nil, err
		}
		if !holds {
			return nil, fmt.Errorf("%s %s: the tree of the repository %s leaves it out (.gitignore, or a nested repository); commit it", subject.What, subject.Path, found.Repository)
		}
	}
	return found, nil
}

func (e Evidence) repository(name string) (string, error) {
	dir, ok := e.Repositories[name].(string)
	if !ok || dir == "" {
		return "", fmt.Errorf("evidence.repositories.%s: not a path (got %v)", name, e.Repositories[name])
	}
	return dir, nil
}

// inventory returns one digest of the option's inventory, or of all sources in
// order.
func (e Evidence) inventory() (string, error) {
	if e.Inventory != "" {
		return evidence.Digest(e.Inventory)
	}
	var all strings.Builder
	for _, source := range e.sources {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(source)))
		if !hostList(source) {
			var err error
			if digest, err = evidence.Digest(source); err != nil {
				return "", err
			}
			if len(e.sources) == 1 {
				return digest, nil
			}
		}
		all.WriteString(digest + "\n")
	}
	if all.Len() == 0 {
		return "", nil
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(all.String()))), nil
}

// hostList reports whether Ansible reads a source as a list of hosts.
func hostList(source string) bool { return strings.Contains(source, ",") }

func same(a, b string) bool { return pathlink.Canonical(a) == pathlink.Canonical(b) }

// below returns path relative to folder; ok is false if it is outside.
func below(folder, path string) (string, bool) {
	relative, err := filepath.Rel(folder, path)
	if err != nil || relative == ".." || strings.HasPrefix(relative, ".."+string(filepath.Separator)) {
		return "", false
	}
	return relative, true
}
