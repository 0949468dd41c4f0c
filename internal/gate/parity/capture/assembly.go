// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/oneline"
)

// assembly builds a manifest from the sources.
type assembly struct {
	options   Options
	scan      *scan
	inventory *hosts // nil if there is none
	live      *parity.Found
	manifest  *parity.Manifest
	result    *Result
}

func (a *assembly) problem(rule, where, format string, args ...any) {
	a.scan.problem(rule, where, format, args...)
}

// believe returns the value to use if the two sides differ, or false with a
// problem. An empty value is never used.
func (a *assembly) believe(what, declared, whereDeclared, found, whereFound string) (string, bool) {
	switch {
	case declared == "" || found == "" || declared == found:
		return cmp.Or(declared, found), true
	case a.options.Prefer == "":
		a.problem(conflict, whereDeclared, "%s is %s here and %s in %s; correct one of them, or give prefer", what, declared, found, whereFound)
		return "", false
	}
	a.result.Warnings = append(a.result.Warnings, fmt.Sprintf("%s is %s in %s and %s in %s; prefer selects the %s", what, declared, whereDeclared, found, whereFound, a.options.Prefer))
	if a.options.Prefer == Cluster {
		return found, true
	}
	return declared, true
}

const (
	theInventory = "the inventory"
	theCluster   = "the cluster"
)

func (a *assembly) kubernetes() {
	declared, found := "", ""
	if a.inventory != nil {
		var all []string
		for _, host := range a.machines() {
			version, ok := a.inventory.text(host.Name, a.options.Inventory.VersionVariable)
			if !ok {
				if a.live == nil {
					a.problem(missing, theInventory, "the node %s has no variable %s that is a text; name another in version_variable, or give kubeconfig", host.Name, a.options.Inventory.VersionVariable)
				}
				continue
			}
			all = append(all, version)
		}
		all = unique(all)
		if len(all) > 1 {
			a.problem(conflict, theInventory, "the nodes have different versions of Kubernetes: %s", strings.Join(all, ", "))
			return
		}
		declared = strings.Join(all, "")
	}
	if a.live != nil {
		found = a.live.Version
	}
	version, ok := a.believe("the version of Kubernetes", declared, theInventory, found, theCluster)
	switch {
	case !ok:
	case version == "" && a.inventory == nil:
		a.problem(missing, "kubernetes", "no source has the version of Kubernetes; give inventory or kubeconfig")
	case version != "" && !kubernetesVersion.MatchString(version):
		a.problem(unknown, theInventory, "%q is not a version of Kubernetes, such as v1.34.3+k3s1", version)
	}
	a.manifest.Kubernetes = parity.Kubernetes{Distribution: parity.DistributionOf(version), Version: version}
}

var kubernetesVersion = lazyregexp.New(`^v[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)

// machines returns the nodes of the inventory.
func (a *assembly) machines() []parity.Node {
	inv := a.options.Inventory
	servers := a.inventory.groups[inv.ServerGroup]
	var out []parity.Node
	for _, host := range servers {
		out = append(out, parity.Node{Name: host, Roles: []string{"server"}})
	}
	for _, host := range a.inventory.groups[inv.AgentGroup] {
		if !slices.Contains(servers, host) { // a server may also be in the group of agents
			out = append(out, parity.Node{Name: host, Roles: []string{"agent"}})
		}
	}
	for i := range out {
		out[i].Architecture = inv.Architecture
		if inv.ArchitectureVariable != "" {
			if text, ok := a.inventory.text(out[i].Name, inv.ArchitectureVariable); ok {
				out[i].Architecture = text
			}
		}
	}
	slices.SortFunc(out, func(x, y parity.Node) int { return strings.Compare(x.Name, y.Name) })
	return out
}

func (a *assembly) nodes() {
	declared := map[string]parity.Node{}
	var names []string
	if a.inventory != nil {
		if len(a.inventory.groups[a.options.Inventory.ServerGroup]) == 0 {
			a.problem(missing, theInventory, "the group %s has no host; name the right one in server_group", a.options.Inventory.ServerGroup)
		}
		for _, node := range a.machines() {
			declared[node.Name], names = node, append(names, node.Name)
		}
	}
	found := map[string]parity.FoundNode{}
	if a.live != nil {
		for _, node := range a.live.Nodes {
			found[node.Name], names = node, append(names, node.Name)
		}
	}
	for _, name := range unique(names) {
		here, isDeclared := declared[name]
		there, isFound := found[name]
		node := parity.Node{Name: name}
		if a.live != nil && a.inventory != nil && isDeclared != isFound {
			declaredWord, foundWord := "absent", "a node"
			if isDeclared {
				declaredWord, foundWord = foundWord, declaredWord
			}
			word, ok := a.believe(name, declaredWord, theInventory, foundWord, theCluster)
			if !ok || word == "absent" {
				continue
			}
		}
		roles, ok := a.believe("the roles of "+name, strings.Join(mainRoles(here.Roles), " "), theInventory, strings.Join(mainRoles(there.Roles), " "), theCluster)
		if !ok {
			continue
		}
		node.Roles = strings.Fields(roles)
		if isFound && slices.Equal(mainRoles(there.Roles), node.Roles) {
			node.Roles = slices.Clone(there.Roles) // includes roles that the inventory lacks, such as etcd
		}
		if node.Architecture, ok = a.believe("the architecture of "+name, here.Architecture, theInventory, there.Architecture, theCluster); !ok {
			continue
		}
		if node.Architecture == "" {
			a.problem(missing, theInventory, "no source has the architecture of %s; give architecture, architecture_variable or kubeconfig", name)
			continue
		}
		a.manifest.Nodes = append(a.manifest.Nodes, node)
	}
	if len(names) == 0 && a.inventory == nil {
		a.problem(missing, "nodes", "no source lists the nodes; give inventory or kubeconfig")
	}
}

// mainRoles returns the roles that an inventory has.
func mainRoles(roles []string) []string {
	var out []string
	for _, role := range roles {
		if role == "server" || role == "agent" {
			out = append(out, role)
		}
	}
	return out
}

func unique(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func (a *assembly) components() {
	for _, c := range a.options.Components {
		where := "component " + c.Name
		declared, whereDeclared, ok := a.declaredVersion(c)
		if !ok {
			continue
		}
		found, why := "", ""
		if a.live != nil {
			var several bool
			if found, several, why = a.liveVersion(c); several {
				a.problem(conflict, where, "the cluster has it in several versions: %s", found)
				continue
			}
		}
		if sameVersion(declared, found) {
			declared = cmp.Or(found, declared) // the sandbox is compared with the cluster's spelling
		}
		version, ok := a.believe("the version of "+c.Name, declared, whereDeclared, found, theCluster)
		switch {
		case !ok:
			continue
		case version == "" && a.live != nil:
			a.problem(missing, where, "neither the repositories nor the cluster have its version (the cluster: %s); give version, chart or from", why)
			continue
		case version == "":
			a.problem(missing, where, "no repository has its version: %s; give version, chart or from, or kubeconfig", lookedFor(c.FoundBy))
			continue
		}
		a.manifest.Components = append(a.manifest.Components, parity.Component{Name: c.Name, Version: version, FoundBy: c.FoundBy})
	}
}

func lookedFor(by parity.FoundBy) string {
	switch {
	case by.HelmRelease != nil && by.HelmRelease.VersionOf == parity.OfApp:
		return "the appVersion of a release is in its chart only"
	case by.HelmRelease != nil:
		return fmt.Sprintf("no HelmChart pins the release %s/%s", by.HelmRelease.Namespace, by.HelmRelease.Name)
	case by.Image != nil:
		return fmt.Sprintf("no values and no manifest set a tag of %s", by.Image.Repository)
	}
	return "the versions of " + by.APIGroup + " are only known from a cluster"
}

// declaredVersion returns the version of a component in the repositories; false if they contradict each other.
func (a *assembly) declaredVersion(c Component) (version, where string, ok bool) {
	var all []said
	if c.Version != "" {
		all = append(all, said{c.Version, "component " + c.Name})
	}
	add := func(s said) {
		if s.Value != "" && (c.From == "" || covers(c.From, s.Where) || covers(c.From, fileOf(s.Where))) {
			all = append(all, s)
		}
	}
	if c.Chart != "" {
		repository, dir, _ := strings.Cut(c.Chart, ":")
		dir = path.Clean(dir)
		at := slices.IndexFunc(a.scan.charts, func(x chart) bool { return x.Repository == repository && x.Dir == dir })
		if at < 0 {
			a.problem(missing, "component "+c.Name, "the chart %s is in no repository that is read", c.Chart)
			return "", "", false
		}
		found := a.scan.charts[at]
		switch {
		case c.Dependency != "":
			dependency, ok := found.Dependencies[c.Dependency]
			switch {
			case !ok:
				a.problem(missing, "component "+c.Name, "the chart %s has no dependency %s", c.Chart, c.Dependency)
				return "", "", false
			case dependency.Value == "":
				a.problem(unknown, dependency.Where, "the version of the dependency %s is a range, and there is no Chart.lock", c.Dependency)
				return "", "", false
			}
			all = append(all, dependency)
		case c.FoundBy.HelmRelease != nil && c.FoundBy.HelmRelease.VersionOf == parity.OfChart:
			all = append(all, found.Version)
		default:
			all = append(all, found.AppVersion)
		}
	}
	switch by := c.FoundBy; {
	case by.HelmRelease != nil:
		for _, r := range a.scan.releases {
			if r.Namespace == by.HelmRelease.Namespace && r.Name == by.HelmRelease.Name && by.HelmRelease.VersionOf == parity.OfChart {
				add(r.Version)
			}
		}
	case by.Image != nil:
		for _, i := range a.scan.images {
			if parity.SameRepository(i.Repository, by.Image.Repository) && (i.Namespace == "" || by.Image.Namespace == "" || i.Namespace == by.Image.Namespace) {
				add(i.Tag)
			}
		}
	}
	for _, s := range all {
		if s.Value != "" && version != "" && !sameVersion(s.Value, version) {
			a.problem(conflict, where, "the version of %s is %s here and %s in %s; correct one of them, or narrow it with from", c.Name, version, s.Value, s.Where)
			return "", "", false
		}
		if version == "" {
			version, where = s.Value, s.Where
		}
	}
	return version, where, true
}

// liveVersion finds versions with the code that compares the sandbox, so
// that both agree.
func (a *assembly) liveVersion(c Component) (version string, several bool, why string) {
	const none = "0" // a version that no component has
	drifts, _ := parity.Compare(&parity.Manifest{Components: []parity.Component{{Name: c.Name, Version: none, FoundBy: c.FoundBy}}}, *a.live)
	for _, d := range drifts {
		switch d.Path {
		case "components/" + c.Name + "/version":
			return d.Found, strings.Contains(d.Found, ", "), ""
		case "components/" + c.Name:
			why = d.Found
		}
	}
	// Without Helm's secrets the release is unknown, but k3s's HelmChart has the requested version.
	if by := c.FoundBy.HelmRelease; by != nil && by.VersionOf == parity.OfChart {
		for _, chart := range a.live.HelmCharts {
			if chart.Name == by.Name && cmp.Or(chart.TargetNamespace, chart.Namespace) == by.Namespace && exact.MatchString(chart.Version) {
				return chart.Version, false, ""
			}
		}
	}
	return "", false, why
}

func (a *assembly) applications() {
	a.manifest.Applications = parity.Applications{Namespace: a.options.Applications, Items: []parity.Application{}}
	declared := map[string]application{}
	broken := map[string]bool{}
	for _, app := range a.scan.applications {
		if app.Namespace != "" && app.Namespace != a.options.Applications {
			a.problem(unknown, app.Where, "the Application %s is of the namespace %s, not of %s", app.Name, app.Namespace, a.options.Applications)
			continue
		}
		before, twice := declared[app.Name]
		if twice && sourcesText(before.Sources) != sourcesText(app.Sources) {
			a.problem(conflict, before.Where, "the Application %s is %s here and %s in %s", app.Name, sourcesText(before.Sources), sourcesText(app.Sources), app.Where)
			broken[app.Name] = true
		}
		declared[app.Name] = app
	}
	found := map[string]parity.Application{}
	var names []string
	for name := range declared {
		names = append(names, name)
	}
	if a.live != nil {
		for _, app := range a.live.Applications {
			if app.Namespace != a.options.Applications {
				a.problem(unknown, theCluster, "the Application %s is of the namespace %s, not of %s", app.Name, app.Namespace, a.options.Applications)
				continue
			}
			item := parity.Application{Name: app.Name}
			for _, s := range app.Sources {
				item.Sources = append(item.Sources, source(s.Repository, s.Path, s.Chart, s.Revision))
			}
			found[app.Name], names = item, append(names, app.Name)
		}
	}
	for _, name := range unique(names) {
		here, isDeclared := declared[name]
		there, isFound := found[name]
		item := parity.Application{Name: name, Sources: here.Sources}
		if a.live != nil && len(a.scan.applications) > 0 {
			hereText, thereText := "absent", "absent"
			if isDeclared {
				hereText = sourcesText(here.Sources)
			}
			if isFound {
				thereText = sourcesText(there.Sources)
			}
			text, ok := a.believe("the Application "+name, hereText, cmp.Or(here.Where, "the repositories"), thereText, theCluster)
			if !ok || text == "absent" {
				continue
			}
			if text == thereText {
				item = there
			}
		} else if isFound {
			item = there
		}
		if !broken[name] {
			a.manifest.Applications.Items = append(a.manifest.Applications.Items, item)
		}
	}
}

func sourcesText(list []parity.Source) string {
	var out []string
	for _, s := range list {
		out = append(out, oneline.Join(fmt.Sprintf("%s %s %s at %s", s.Repository, s.Path, s.Chart, s.Revision)))
	}
	return strings.Join(out, "; ")
}

func (a *assembly) outside(ctx context.Context, trees map[string]*tree) {
	for _, o := range a.options.Outside {
		where := o.Repository + ":" + path.Clean(o.Compose)
		if a.inventory == nil {
			a.problem(missing, "outside "+o.Name, "no inventory has the hosts of the group %s; give inventory", o.Hosts)
			continue
		}
		if len(a.inventory.groups[o.Hosts]) == 0 {
			a.problem(missing, theInventory, "the group %s of %s has no host", o.Hosts, o.Name)
			continue
		}
		t := trees[o.Repository]
		if t == nil {
			a.problem(missing, "outside "+o.Name, "%q is none of the repositories", o.Repository)
			continue
		}
		f := t.find(path.Clean(o.Compose))
		if f == nil {
			a.problem(missing, where, "it is not there at the commit %s", t.Commit)
			continue
		}
		if err := t.fetch(ctx, []*file{f}); err != nil || f.Data == nil {
			a.problem(missing, where, "it cannot be read (%s)", cause(err, "it is too large, or no file"))
			continue
		}
		entry, err := composed(o, f, a.scan.layers(*f, a.inventory.agreed(o.Hosts)))
		if err != nil {
			a.problem(unknown, where, "%v", err)
			continue
		}
		a.manifest.Outside = append(a.manifest.Outside, entry)
	}
}

// agreed returns the variables that have the same value on all hosts of a group.
// A variable with different values is a hole, which overrides a role's default.
func (h *hosts) agreed(group string) variables {
	out := variables{}
	for n, host := range h.groups[group] {
		for name := range h.vars[host] {
			value, ok := h.text(host, name)
			if before, known := out[name]; !ok || n > 0 && (!known || before != value) {
				value = string(hole)
			}
			out[name] = value
		}
		for name := range out {
			if _, ok := h.vars[host][name]; !ok {
				out[name] = string(hole)
			}
		}
	}
	return out
}

func (a *assembly) backups() {
	a.manifest.Backups = []parity.Backup{}
	var claims []claim
	for _, c := range a.scan.claims {
		if c.Namespace != "" {
			claims = append(claims, c)
			continue
		}
		into := destinations(a.scan.applications, c.Where)
		if len(into) == 0 {
			a.problem(unread, fileOf(c.Where), "the claim %s has no namespace, and no Application sets one", c.Name)
		}
		for _, namespace := range into {
			c.Namespace = namespace
			claims = append(claims, c)
		}
	}
	a.scan.claims = claims
	covered, bare := a.scan.backups(a.options.StorageClasses)
	declared := map[string]bool{}
	for _, b := range covered {
		declared[b.Namespace+"/"+b.Claim] = true
	}
	named := map[string]bool{}
	for _, c := range a.scan.claims {
		named[c.Namespace+"/"+c.Name] = true
	}
	if a.live == nil {
		a.result.Bare = unique(bare)
		for _, name := range unique(keys(declared)) {
			a.backup(name)
		}
		return
	}
	uncovered := map[string]string{}
	asked := &parity.Manifest{}
	var names []string
	for _, c := range a.live.Claims {
		asked.Backups = append(asked.Backups, parity.Backup{Namespace: c.Namespace, Claim: c.Name})
		names = append(names, c.Namespace+"/"+c.Name)
	}
	drifts, _ := parity.Compare(asked, *a.live)
	for _, d := range drifts {
		if name, ok := strings.CutPrefix(d.Path, "backups/"); ok {
			uncovered[name] = d.Found
		}
	}
	word := map[bool]string{true: "backed up", false: "not backed up"}
	for _, name := range unique(append(names, keys(named)...)) {
		declares, live := "", "absent"
		if named[name] {
			declares = word[declared[name]]
		}
		if slices.Contains(names, name) {
			live = word[uncovered[name] == ""]
		}
		text, ok := a.believe("the claim "+name, declares, "the repositories", live, theCluster)
		switch {
		case !ok:
		case text == word[true]:
			a.backup(name)
		case live != "absent":
			a.result.Bare = append(a.result.Bare, fmt.Sprintf("%s (%s)", name, uncovered[name]))
		}
	}
}

func (a *assembly) backup(name string) {
	namespace, claim, _ := strings.Cut(name, "/")
	a.manifest.Backups = append(a.manifest.Backups, parity.Backup{Namespace: namespace, Claim: claim})
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	return out
}

// addresses adds a problem for each address: the manifest may be public, and the
// sandbox must have none of production's.
func (a *assembly) addresses() {
	for _, app := range a.manifest.Applications.Items {
		for _, s := range app.Sources {
			if holdsAddress(s.Repository) {
				a.problem(address, "application "+app.Name, "its repository is named by an address; name it by a name of DNS")
			}
		}
	}
	for _, o := range a.manifest.Outside {
		if holdsAddress(o.Compose.Image) {
			a.problem(address, "outside "+o.Name, "its image is named by an address")
		}
	}
	for _, c := range a.manifest.Components {
		if c.FoundBy.Image != nil && holdsAddress(c.FoundBy.Image.Repository) {
			a.problem(address, "component "+c.Name, "its image is named by an address; leave the registry out")
		}
	}
}

// fileOf is repository:path of repository:path:line.
func fileOf(where string) string {
	if at := strings.LastIndexByte(where, ':'); at > 0 && strings.Trim(where[at+1:], "0123456789") == "" {
		return where[:at]
	}
	return where
}
