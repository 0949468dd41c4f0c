// SPDX-License-Identifier: GPL-3.0-or-later

// Package capture writes the parity manifest from production's sources: GitOps
// repositories at a commit, the inventory as Ansible reads it,
// the compose files of services outside Kubernetes and, optionally, the
// cluster through a kubeconfig that can only read (package readonly).
//
// It fetches, renders and applies nothing, and writes only the manifest. A source
// that cannot be read is a problem, and with a problem no manifest is written,
// since it could be incomplete.
package capture

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Component is a component of the manifest, and the source of its version.
type Component struct {
	Name       string
	FoundBy    parity.FoundBy
	Version    string // as given; empty to look for it
	Chart      string // repository:folder of the chart that the release is made of
	Dependency string // of that chart, to use the dependency's version
	From       string // pattern of repository:path; only matching files are read for this component's version
}

// Unread is a file that need not be read, and the reason.
type Unread struct {
	Path   string `arg:"path"` // repository:path; * matches any characters
	Reason string `arg:"reason"`
}

// Prefer is the side to use if the repositories and the cluster differ.
type Prefer string

// The sides of a conflict. Empty means that a conflict is a problem.
const (
	Repositories Prefer = "repositories"
	Cluster      Prefer = "cluster"
)

// Options are what to read, and which parts of it the manifest gets.
type Options struct {
	Repositories   []Repository
	Unread         []Unread
	Inventory      *Inventory
	Variables      map[string]string // of templates; they override all others
	Components     []Component
	AppOfApps      []AppOfApps
	Applications   string // namespace of ArgoCD's Applications
	Outside        []Outside
	StorageClasses []string // of Longhorn, if the repositories have no manifest of them
	Prefer         Prefer
}

// Result is the result of a capture.
type Result struct {
	Manifest *parity.Manifest // nil if there is a problem
	Text     []byte           // the manifest's YAML, with its sources; nil if there is a problem
	Sources  []Pinned
	Problems []Problem // sorted
	Warnings []string
	Bare     []string // claims that no job of Longhorn covers
}

// Capturer captures.
type Capturer struct {
	Runner run.Runner
	// Live is the state of the cluster, without hosts; nil without a cluster.
	Live *parity.Found
}

// Capture reads all sources and builds the manifest. An error means that
// a source could not be opened.
func (c Capturer) Capture(ctx context.Context, o Options) (*Result, error) {
	result := &Result{}
	trees := map[string]*tree{}
	s := &scan{facts: facts{selectors: map[string][]selected{}, longhorn: map[string]bool{}}, templates: map[string]bool{}}
	for _, r := range o.Repositories {
		if !repositoryName.MatchString(r.Name) {
			return nil, fmt.Errorf("the repository %q: a name is letters, digits, dots, dashes and underscores", r.Name)
		}
		if trees[r.Name] != nil {
			return nil, fmt.Errorf("two repositories are named %s", r.Name)
		}
		t, err := open(ctx, c.Runner, r)
		if err != nil {
			return nil, err
		}
		trees[r.Name] = t
		result.Sources = append(result.Sources, t.Pinned)
		if t.Dirty {
			result.Warnings = append(result.Warnings, fmt.Sprintf("the working tree of %s holds something that is not committed; the manifest is that of %s, without it", r.Name, t.Commit))
		}
	}
	var inventory *hosts
	if o.Inventory != nil {
		var err error
		if inventory, err = o.Inventory.ask(ctx, c.Runner, trees); err != nil {
			return nil, err
		}
	}
	if err := c.scanAll(ctx, s, o, trees, inventory); err != nil {
		return nil, err
	}
	a := assembly{options: o, scan: s, inventory: inventory, live: c.Live, manifest: &parity.Manifest{}, result: result}
	a.kubernetes()
	a.nodes()
	a.components()
	a.applications()
	a.outside(ctx, trees)
	a.backups()
	a.addresses()
	result.Warnings = append(result.Warnings, forgive(&s.problems, o.Unread)...)
	result.Problems = s.problems
	slices.SortFunc(result.Problems, func(x, y Problem) int { return strings.Compare(x.String(), y.String()) })
	result.Problems = slices.Compact(result.Problems)
	if len(result.Problems) > 0 {
		return result, nil
	}
	text, err := parity.Marshal(a.manifest)
	if err != nil {
		return nil, err
	}
	a.manifest.Sort()
	result.Manifest, result.Text = a.manifest, withSources(text, result.Sources, c.Live != nil)
	return result, nil
}

var repositoryName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// scanAll reads every repository, and the lists of Applications that are declared.
func (c Capturer) scanAll(ctx context.Context, s *scan, o Options, trees map[string]*tree, inventory *hosts) error {
	named := func(repository, name string) (*file, error) {
		t := trees[repository]
		if t == nil {
			return nil, fmt.Errorf("%q is none of the repositories", repository)
		}
		f := t.find(path.Clean(name))
		if f == nil || f.Mode != "100644" && f.Mode != "100755" || f.Size > maxFile {
			return nil, fmt.Errorf("%s:%s is not a file at commit %s", repository, name, t.Commit)
		}
		return f, t.fetch(ctx, []*file{f})
	}
	type list struct {
		declared         AppOfApps
		values, template *file
	}
	var lists []list
	for _, a := range o.AppOfApps {
		values, err := named(a.Repository, a.Values)
		if err != nil {
			return fmt.Errorf("reading app_of_apps: %w", err)
		}
		template, err := named(a.Repository, a.Template)
		if err != nil {
			return fmt.Errorf("reading app_of_apps: %w", err)
		}
		s.templates[template.where()] = true
		lists = append(lists, list{a, values, template})
	}
	for _, entry := range o.Outside {
		s.templates[entry.Repository+":"+path.Clean(entry.Compose)] = true // read separately
	}
	common := variables{}
	if inventory != nil {
		common = inventory.common()
	}
	found := map[string]roleFiles{}
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		t := trees[name]
		var sets []*file
		for i := range t.Files {
			if base := path.Base(t.Files[i].Path); base == "main.yml" || base == "main.yaml" {
				sets = append(sets, &t.Files[i])
			}
		}
		if err := t.fetch(ctx, sets); err != nil {
			return err
		}
		maps.Copy(found, roles(t))
	}
	// Ansible's precedence: role defaults, inventory, role vars, extra vars.
	s.layers = func(f file, inventory variables) variables {
		all := variables{}
		defaults, vars := roleVariables(f, found)
		for _, layer := range []variables{defaults, inventory, vars, o.Variables} {
			maps.Copy(all, layer)
		}
		return all
	}
	s.common = common
	for _, l := range lists {
		if err := s.declared(l.declared, l.values, l.template); err != nil {
			s.problem(unknown, l.declared.Repository+":"+path.Clean(l.declared.Values), "%v", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		if err := s.read(ctx, trees[name]); err != nil {
			return err
		}
	}
	return nil
}

// forgive removes problems that entries of unread cover, and warns about unused entries.
func forgive(problems *[]Problem, allowed []Unread) []string {
	used := make([]bool, len(allowed))
	kept := (*problems)[:0]
	for _, p := range *problems {
		forgiven := false
		for i, u := range allowed {
			if p.Rule == unread && covers(u.Path, p.Where) {
				used[i], forgiven = true, true
			}
		}
		if !forgiven {
			kept = append(kept, p)
		}
	}
	*problems = kept
	var warnings []string
	for i, u := range allowed {
		if !used[i] {
			warnings = append(warnings, fmt.Sprintf("the entry %s of unread was not needed: remove it", u.Path))
		}
	}
	return warnings
}

// covers returns whether a pattern, in which * matches any characters, matches a text.
func covers(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(text)
}

// withSources adds the sources after the heading of a manifest.
func withSources(text []byte, sources []Pinned, cluster bool) []byte {
	var lines strings.Builder
	lines.WriteString("# Captured, so that changes made here are overwritten, from:\n")
	sorted := slices.Clone(sources)
	slices.SortFunc(sorted, func(a, b Pinned) int { return strings.Compare(a.Repository, b.Repository) })
	for _, source := range sorted {
		fmt.Fprintf(&lines, "#   %s at %s\n", source.Repository, source.Commit)
	}
	if cluster {
		lines.WriteString("#   the cluster\n")
	}
	head, rest, _ := strings.Cut(string(text), "\nkubernetes:")
	return []byte(strings.TrimRight(head, "\n") + "\n#\n" + lines.String() + "kubernetes:" + rest)
}

// literal matches possible addresses in a text.
var literal = lazyregexp.New(`[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]*[0-9A-Fa-f]`)

// holdsAddress reports whether a text has a literal address in it.
func holdsAddress(text string) bool {
	for _, found := range literal.FindAllString(text, -1) {
		if _, err := netip.ParseAddr(strings.Trim(found, ".")); err == nil {
			return true
		}
		if _, err := netip.ParseAddrPort(found); err == nil {
			return true
		}
	}
	return false
}
