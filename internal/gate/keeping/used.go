// SPDX-License-Identifier: GPL-3.0-or-later

package keeping

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
	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/pathlink"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// Used is what a gate really runs on. What it has none of is empty.
type Used struct {
	Runs      bool     // it runs Ansible, which reads an inventory
	Inventory []string // its sources: paths, or lists of hosts as Ansible takes them
	Boundary  string
	Manifest  string // of parity

	What string // what is judged, as "the playbook"
	Path string // where that lies
}

// On ties the evidence to what the gate runs on: what the task does not name is
// filled in, and what it names otherwise is refused, before anything ran. If it
// names repositories, what is judged must lie in one of them; it is returned
// where. Evidence that nobody asked for (nil) stays so.
func (e *Evidence) On(ctx context.Context, runner run.Runner, used Used) (*Evidence, *reports.In, error) {
	if e == nil {
		return nil, nil, nil
	}
	tied := *e
	for _, one := range []struct {
		name string
		said *string
		used string
	}{{"boundary", &tied.Boundary, used.Boundary}, {"manifest", &tied.Manifest, used.Manifest}} {
		switch {
		case one.used == "":
		case *one.said == "":
			*one.said = one.used
		case !same(*one.said, one.used):
			return nil, nil, fmt.Errorf("evidence.%s is %s, and the gate runs with %s: leave it out, and it is filled in", one.name, *one.said, one.used)
		}
	}
	if used.Runs {
		if err := tied.inventoryIs(used.Inventory); err != nil {
			return nil, nil, err
		}
	}
	if used.Path == "" || len(tied.Repositories) == 0 {
		return &tied, nil, nil
	}
	in, err := tied.within(ctx, runner, used)
	return &tied, in, err
}

// inventoryIs holds the option against the sources. It may name a folder in
// which they lie, since its digest then covers them.
func (e *Evidence) inventoryIs(sources []string) error {
	if e.Inventory == "" {
		e.sources = sources
		return nil
	}
	if len(sources) == 0 {
		return fmt.Errorf("evidence.inventory is %s, and the gate is given no inventory, so it takes that of the configuration: give it both", e.Inventory)
	}
	for _, source := range sources {
		if hostList(source) {
			return fmt.Errorf("evidence.inventory is %s, and the gate runs with the list of hosts %q: leave it out, and it is filled in", e.Inventory, source)
		}
		if _, inside := below(pathlink.Canonical(e.Inventory), pathlink.Canonical(source)); !inside {
			return fmt.Errorf("evidence.inventory is %s, and the gate runs with %s: leave it out, and it is filled in", e.Inventory, source)
		}
	}
	return nil
}

func (e *Evidence) within(ctx context.Context, runner run.Runner, used Used) (*reports.In, error) {
	path := pathlink.Canonical(used.Path)
	var found *reports.In
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
		// Of repositories within each other the innermost holds it.
		if relative, inside := below(tree, path); inside && len(tree) > len(top) {
			found, top = &reports.In{Repository: name, Path: filepath.ToSlash(relative)}, tree
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s %s lies in none of evidence.repositories (%s), so their trees say nothing of it: name the one in which it lies",
			used.What, used.Path, strings.Join(slices.Sorted(maps.Keys(e.Repositories)), ", "))
	}
	if _, err := os.Stat(path); err == nil {
		holds, err := tree.Holds(ctx, runner, top, path)
		if err != nil {
			return nil, err
		}
		if !holds {
			return nil, fmt.Errorf("%s %s lies in the repository %s, whose tree leaves it out, as .gitignore or a repository within it says: "+
				"its evidence would say nothing of it", used.What, used.Path, found.Repository)
		}
	}
	return found, nil
}

func (e Evidence) repository(name string) (string, error) {
	dir, isText := e.Repositories[name].(string)
	if !isText || dir == "" {
		return "", fmt.Errorf("the repository %s: its path is %v: write `%s: path`", name, e.Repositories[name], name)
	}
	return dir, nil
}

// inventory is the digest of what the option names, or of the sources. Several
// have one digest together, in their order.
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

// hostList tells whether Ansible reads a source as names of hosts.
func hostList(source string) bool { return strings.Contains(source, ",") }

func same(a, b string) bool { return pathlink.Canonical(a) == pathlink.Canonical(b) }

// below is the way from a folder to what lies in it, or is it.
func below(folder, path string) (string, bool) {
	relative, err := filepath.Rel(folder, path)
	if err != nil || relative == ".." || strings.HasPrefix(relative, ".."+string(filepath.Separator)) {
		return "", false
	}
	return relative, true
}
