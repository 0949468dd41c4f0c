// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// Drift is one thing that is not as the manifest has it.
type Drift struct {
	Path     string `json:"path"`     // segments joined by slashes, as nodes/pi3/roles
	Expected string `json:"expected"` //
	Found    string `json:"found"`    //
	Source   string `json:"source"`   // where what was found was read
}

// String is the drift on one line.
func (d Drift) String() string {
	return fmt.Sprintf("%s: expected %s, found %s (%s)", d.Path, d.Expected, d.Found, d.Source)
}

const absent = "absent"

// judge collects drifts.
type judge struct {
	m      *Manifest
	found  Found
	drifts []Drift
}

// Compare names everything in which found is not what the manifest says, each
// once and sorted by path, and the deviations: what is known to differ, and is
// told and never waived. The embedded distribution is one; it is no drift as
// long as it is production's version of Kubernetes.
func Compare(m *Manifest, found Found) (drifts []Drift, deviations []string) {
	j := &judge{m: m, found: found}
	j.kubernetes()
	j.nodes()
	j.components()
	j.applications()
	j.outside()
	j.backups()
	slices.SortStableFunc(j.drifts, func(a, b Drift) int { return cmp.Compare(a.Path, b.Path) })
	return j.drifts, j.deviations()
}

func (j *judge) say(expected, found, source string, path ...string) {
	j.drifts = append(j.drifts, Drift{Path: strings.Join(path, "/"), Expected: expected, Found: found, Source: source})
}

// base is a version of Kubernetes without what its distributor adds.
func base(version string) string {
	release, _, _ := strings.Cut(version, "+")
	return release
}

// meets tells whether a version is the manifest's, or the embedded stand-in of it.
func meets(found, expected string) bool {
	return found == expected || DistributionOf(found) == Embedded && base(found) == base(expected)
}

func (j *judge) deviations() []string {
	deviations := []string{}
	for _, node := range j.found.Nodes {
		if DistributionOf(node.Version) == Embedded && node.Version != j.found.Version {
			deviations = append(deviations, fmt.Sprintf("the node %s runs the embedded distribution (%s)", node.Name, node.Version))
		}
	}
	if DistributionOf(j.found.Version) == Embedded {
		deviations = append([]string{fmt.Sprintf("the embedded distribution (%s) stands in for %s", j.found.Version, j.m.Kubernetes.Version)}, deviations...)
	}
	return deviations
}

func (j *judge) kubernetes() {
	const source = "/version of the API server"
	expected, found := j.m.Kubernetes, j.found.Version
	other := DistributionOf(found) != Embedded && DistributionOf(found) != expected.Distribution
	if other {
		j.say(string(expected.Distribution), fmt.Sprintf("%s (%s)", DistributionOf(found), found), source, "kubernetes", "distribution")
	}
	if !meets(found, expected.Version) && !(other && base(found) == base(expected.Version)) {
		j.say(expected.Version, found, source, "kubernetes", "version")
	}
}

func (j *judge) nodes() {
	const source = "nodes of the API server"
	found := map[string]FoundNode{}
	for _, node := range j.found.Nodes {
		found[node.Name] = node
	}
	for _, expected := range j.m.Nodes {
		node, there := found[expected.Name]
		delete(found, expected.Name)
		if !there {
			j.say(roles(expected.Roles), absent, source, "nodes", expected.Name)
			continue
		}
		if !node.Ready {
			j.say("ready", "not ready: "+node.Why, source, "nodes", expected.Name, "ready")
		}
		if roles(node.Roles) != roles(expected.Roles) {
			j.say(roles(expected.Roles), roles(node.Roles), source, "nodes", expected.Name, "roles")
		}
		if node.Architecture != expected.Architecture {
			j.say(expected.Architecture, node.Architecture, source, "nodes", expected.Name, "architecture")
		}
		// A node that goes with an API server of another version is no drift of its own.
		if !meets(node.Version, j.m.Kubernetes.Version) && node.Version != j.found.Version {
			j.say(j.m.Kubernetes.Version, node.Version, source, "nodes", expected.Name, "version")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		j.say(absent, roles(found[name].Roles), source, "nodes", name)
	}
}

func roles(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ", ") }

func (j *judge) components() {
	for _, c := range j.m.Components {
		versions, source, why := j.versions(c.FoundBy)
		switch {
		case len(versions) == 0:
			j.say(c.Version, why, source, "components", c.Name)
		case len(versions) > 1 || versions[0] != c.Version:
			j.say(c.Version, strings.Join(versions, ", "), source, "components", c.Name, "version")
		}
	}
}

// versions are those of a component, where they were read, and what there is if there are none.
func (j *judge) versions(by FoundBy) (versions []string, source, why string) {
	switch {
	case by.HelmRelease != nil:
		return j.release(*by.HelmRelease)
	case by.Image != nil:
		source = "images of " + by.Image.Repository
		var where []string
		for _, image := range j.found.Images {
			repository, tag := SplitImage(image.Reference)
			if image.Ends || by.Image.Namespace != "" && image.Namespace != by.Image.Namespace || !SameRepository(repository, by.Image.Repository) {
				continue
			}
			versions, where = append(versions, tag), append(where, image.Namespace+"/"+image.Workload)
		}
		if len(where) > 0 {
			source += ": " + strings.Join(unique(where), ", ")
		}
		return unique(versions), source, absent
	}
	source = "API groups"
	for _, group := range j.found.Groups {
		if group.Name == by.APIGroup {
			return []string{group.Preferred}, source + ": " + by.APIGroup + " serves " + strings.Join(group.Versions, ", "), ""
		}
	}
	return nil, source, absent
}

func (j *judge) release(by HelmRelease) (versions []string, source, why string) {
	source = fmt.Sprintf("release %s/%s of Helm", by.Namespace, by.Name)
	for _, release := range j.found.Releases {
		if release.Namespace != by.Namespace || release.Name != by.Name {
			continue
		}
		source = fmt.Sprintf("%s, revision %d, chart %s", source, release.Revision, release.Chart)
		if by.VersionOf == OfApp {
			return []string{release.AppVersion}, source, ""
		}
		return []string{release.ChartVersion}, source, ""
	}
	why = absent
	for _, chart := range j.found.HelmCharts {
		if chart.Name == by.Name && cmp.Or(chart.TargetNamespace, chart.Namespace) == by.Namespace {
			why = fmt.Sprintf("no release, though the HelmChart %s/%s asks for %s", chart.Namespace, chart.Name, strings.TrimSpace(chart.Chart+" "+chart.Version))
		}
	}
	return nil, source, why
}

func unique(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

func (j *judge) applications() {
	const source = "Applications of ArgoCD"
	found := map[string]FoundApplication{}
	for _, app := range j.found.Applications {
		found[applicationName(app, j.m.Applications.Namespace)] = app
	}
	for _, expected := range j.m.Applications.Items {
		app, there := found[expected.Name]
		delete(found, expected.Name)
		if !there {
			j.say(sources(expected.Sources), absent, source, "applications", expected.Name)
			continue
		}
		if len(app.Sources) != len(expected.Sources) {
			j.say(sources(expected.Sources), sources(canonical(app.Sources)), source, "applications", expected.Name, "sources")
			continue
		}
		for n := range expected.Sources {
			at := []string{"applications", expected.Name}
			if len(expected.Sources) > 1 {
				at = append(at, "sources", fmt.Sprint(n))
			}
			j.source(expected.Sources[n], app.Sources[n], source, at)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		j.say(absent, sources(canonical(found[name].Sources)), source, "applications", name)
	}
}

// applicationName is the segment of a path for an Application: with its namespace if that is another one.
func applicationName(app FoundApplication, namespace string) string {
	if app.Namespace == namespace {
		return app.Name
	}
	return app.Namespace + ":" + app.Name
}

func (j *judge) source(expected, found Source, source string, at []string) {
	differ := func(field, expected, found string) {
		if expected != found {
			j.say(cmp.Or(expected, "none"), cmp.Or(found, "none"), source, append(slices.Clone(at), field)...)
		}
	}
	isChart := found.Chart != ""
	differ("repository", expected.Repository, RepositoryOf(found.Repository, isChart))
	differ("path", folder(expected.Path), folder(found.Path))
	differ("chart", expected.Chart, found.Chart)
	revision := found.Revision
	if slices.Contains(Policies(), expected.Revision) {
		if kind := Policy(revision); kind != expected.Revision {
			j.say(expected.Revision, fmt.Sprintf("%s (%s)", kind, cmp.Or(revision, "none given")), source, append(slices.Clone(at), "revision")...)
		}
		return
	}
	revision = strings.TrimPrefix(strings.TrimPrefix(revision, "refs/heads/"), "refs/tags/")
	if revision != expected.Revision && found.Revision != expected.Revision {
		j.say(expected.Revision, cmp.Or(found.Revision, "HEAD"), source, append(slices.Clone(at), "revision")...)
	}
}

// folder is a path of a repository in one spelling.
func folder(text string) string {
	if text == "" {
		return ""
	}
	return path.Clean(strings.Trim(text, "/"))
}

// canonical are sources as a manifest would have them.
func canonical(found []Source) []Source {
	out := make([]Source, len(found))
	for i, s := range found {
		out[i] = Source{Repository: RepositoryOf(s.Repository, s.Chart != ""), Path: folder(s.Path), Chart: s.Chart, Revision: cmp.Or(s.Revision, "head")}
	}
	return out
}

func sources(list []Source) string {
	var texts []string
	for _, s := range list {
		text := s.Repository
		if s.Path != "" {
			text += " " + s.Path
		}
		if s.Chart != "" {
			text += " chart " + s.Chart
		}
		texts = append(texts, text+" at "+s.Revision)
	}
	return strings.Join(texts, "; ")
}

func (j *judge) outside() {
	for _, expected := range j.m.Outside {
		hosts := j.hosts(expected)
		for _, name := range hosts {
			j.onHost(expected, name)
		}
		if len(hosts) == 0 {
			j.say("a host of the group "+expected.Hosts, "none", "inventory", "outside", expected.Name, "hosts")
		}
		j.inside(expected)
	}
}

// hosts are those that an entry has to run on.
func (j *judge) hosts(expected Outside) []string {
	var hosts []string
	for _, name := range slices.Sorted(maps.Keys(j.found.Hosts)) {
		if slices.Contains(j.found.Hosts[name].Groups, expected.Hosts) {
			hosts = append(hosts, name)
		}
	}
	return hosts
}

// inside looks for what must stand outside Kubernetes among what runs in it: by
// its images, and else by its port. What production has there as a component is
// meant to be there.
func (j *judge) inside(expected Outside) {
	port := expected.Port()
	var named, serving []string
	for _, image := range j.found.Images {
		repository, _ := SplitImage(image.Reference)
		if image.Ends || j.component(image.Namespace, repository) {
			continue
		}
		where := fmt.Sprintf("%s/%s with %s", image.Namespace, image.Workload, image.Reference)
		switch {
		case expected.is(repository):
			named = append(named, where)
		case port != 0 && slices.Contains(image.Ports, port) && !goesBetween.MatchString(path.Base(repository)):
			serving = append(serving, where)
		}
	}
	const source = "workloads of the API server"
	if len(named) > 0 {
		j.say("outside Kubernetes", strings.Join(unique(named), ", "), source, "outside", expected.Name, "kubernetes")
	}
	if port != 0 && len(named)+len(serving) == 0 { // what was found has a Service too
		serving = j.behind(expected, port)
	}
	if len(serving) > 0 {
		j.say(fmt.Sprintf("nothing in Kubernetes that serves its port %d", port), strings.Join(unique(serving), ", "), source, "outside", expected.Name, "port")
	}
}

// behind are the workloads that a Service leads to a port of, whether their
// containers name it or not.
func (j *judge) behind(expected Outside, port int) []string {
	var where []string
	for _, service := range j.found.Services {
		if !slices.Contains(service.Ports, port) {
			continue
		}
		images := map[string][]string{}
		passes := map[string]bool{} // workloads that pass it on, or are meant to be there
		for _, image := range j.found.Images {
			if image.Namespace != service.Namespace || image.Ends || !selects(service.Selector, image.Labels) {
				continue
			}
			repository, _ := SplitImage(image.Reference)
			images[image.Workload] = append(images[image.Workload], image.Reference)
			passes[image.Workload] = passes[image.Workload] || goesBetween.MatchString(path.Base(repository)) || j.component(image.Namespace, repository)
		}
		for workload, references := range images {
			if !passes[workload] {
				where = append(where, fmt.Sprintf("%s/%s with %s behind the Service %s", service.Namespace, workload, strings.Join(references, " and "), service.Name))
			}
		}
	}
	return where
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if has, there := labels[key]; !there || has != value {
			return false
		}
	}
	return true
}

// component tells whether an image is one of a component of the manifest.
func (j *judge) component(namespace, repository string) bool {
	return slices.ContainsFunc(j.m.Components, func(c Component) bool {
		by := c.FoundBy.Image
		return by != nil && (by.Namespace == "" || by.Namespace == namespace) && SameRepository(repository, by.Repository)
	})
}

func (j *judge) onHost(expected Outside, host string) {
	source := "Docker engine of " + host
	service := fmt.Sprintf("the service %s of the project %s of docker compose", expected.Compose.Service, expected.Compose.Project)
	at := func(more ...string) []string {
		return append([]string{"outside", expected.Name, "hosts", host}, more...)
	}
	container, others := j.container(expected, host)
	if container == nil {
		j.say(service, cmp.Or(strings.Join(others, ", "), absent), source, at()...)
		return
	}
	repository, _ := SplitImage(container.Image)
	if !SameRepository(repository, expected.Compose.Image) {
		j.say(expected.Compose.Image, repository, source, at("image")...)
	}
	if state := container.state(); state != running {
		j.say(running, state, source, at("running")...)
	}
	if version, told := container.version(); !sameVersion(version, expected.Version) {
		j.say(expected.Version, version, source+", "+told, at("version")...)
	}
}

// container is the one of an entry's service on a host, nothing if there is
// none; and what else is there of its image.
func (j *judge) container(expected Outside, host string) (container *FoundContainer, others []string) {
	for i, c := range j.found.Hosts[host].Containers {
		repository, _ := SplitImage(c.Image)
		switch {
		case c.Project == expected.Compose.Project && c.Service == expected.Compose.Service:
			if container == nil || c.state() == running { // one that replaces another runs beside it for a moment
				container = &j.found.Hosts[host].Containers[i]
			}
		case SameRepository(repository, expected.Compose.Image) && c.Project == "":
			others = append(others, fmt.Sprintf("the container %s, which docker compose did not start", c.Name))
		case SameRepository(repository, expected.Compose.Image):
			others = append(others, fmt.Sprintf("the service %s of the project %s", c.Service, c.Project))
		}
	}
	return container, others
}

const running = "running"

// state is "running" for what does, and what there is to say otherwise. Docker
// has one that ends over and over as running in between, and one that answers
// nobody all the time; so one that is asked for its health has to be well.
func (c FoundContainer) state() string {
	switch {
	case c.Status != running:
		return c.Status
	case c.Health == "" || c.Health == "none" || c.Health == "healthy":
		return running
	}
	return running + ", and its health is " + c.Health
}

// versionTag is a tag that tells a version, and no digest or name.
var versionTag = lazyregexp.New(`^v?[0-9]{1,6}(\.[0-9]{1,9})*([-+._][0-9A-Za-z._+-]*)?$`)

// version is the one that a container tells, and by what: the tag if it is a
// version, as that is what production's compose file asks for; else what the
// image says of itself.
func (c FoundContainer) version() (version, told string) {
	_, tag := SplitImage(c.Image)
	if versionTag.MatchString(tag) {
		return tag, "tag of " + c.Image
	}
	if label := c.Labels["org.opencontainers.image.version"]; label != "" {
		return label, "label of " + c.Image
	}
	for _, ending := range []string{"_VERSION", "_MAJOR"} {
		for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
			if strings.HasSuffix(name, ending) {
				value, _, _ := strings.Cut(c.Environment[name], "-") // without what a packager adds
				return value, name + " of " + c.Image
			}
		}
	}
	return tag, "tag of " + c.Image
}

// sameVersion tells whether a version is the one expected, or a finer one of it.
func sameVersion(found, expected string) bool {
	return found == expected || strings.HasPrefix(found, expected+".")
}

func (j *judge) backups() {
	seen := map[string]bool{}
	judge := func(claim FoundClaim) {
		name := claim.Namespace + "/" + claim.Name
		if !seen[name] {
			seen[name] = true
			if why := j.uncovered(claim); why != "" {
				j.say("backed up", why, "volumes and recurring jobs of Longhorn", "backups", claim.Namespace, claim.Name)
			}
		}
	}
	for _, expected := range j.m.Backups {
		there := false
		for _, claim := range j.found.Claims {
			if expected.StorageClass != "" && claim.StorageClass == expected.StorageClass ||
				claim.Namespace == expected.Namespace && claim.Name == expected.Claim {
				there = true
				judge(claim)
			}
		}
		const source = "claims of the API server"
		switch {
		case there || expected.MayBeEmpty:
		case expected.StorageClass == "":
			j.say("backed up", "no such claim", source, "backups", expected.Namespace, expected.Claim)
		default: // all of them may have gone to a class that nobody backs up
			j.say("claims that are backed up", "no claim of the class", source, "backups", expected.StorageClass)
		}
	}
}

const (
	jobLabel   = "recurring-job.longhorn.io/"
	groupLabel = "recurring-job-group.longhorn.io/"
)

// uncovered says why no job backs a claim up; empty if one does.
func (j *judge) uncovered(claim FoundClaim) string {
	if claim.Volume == "" {
		return "the claim is not bound to a volume"
	}
	at := slices.IndexFunc(j.found.Volumes, func(v FoundVolume) bool { return v.Name == claim.Volume })
	if at < 0 || j.found.Volumes[at].Driver != "driver.longhorn.io" {
		return fmt.Sprintf("the volume %s is not one of Longhorn", claim.Volume)
	}
	handle := j.found.Volumes[at].Handle
	there := false
	for _, volume := range j.found.Longhorn.Volumes {
		if volume.Name != handle {
			continue
		}
		there = true
		// Of two by that name one is Longhorn's, and it cannot be told which.
		if why := j.unsaved(volume); why != "" {
			return why
		}
	}
	if !there {
		return fmt.Sprintf("Longhorn has no volume %s", handle)
	}
	return ""
}

// unsaved says why no job backs a volume of Longhorn up; empty if one does.
// Targets and jobs of other namespaces are none: Longhorn never looks there.
func (j *judge) unsaved(volume FoundLonghornVolume) string {
	name := cmp.Or(volume.Target, "default")
	at := slices.IndexFunc(j.found.Longhorn.Targets, func(t FoundTarget) bool { return t.Namespace == volume.Namespace && t.Name == name })
	switch {
	case at < 0 || j.found.Longhorn.Targets[at].URL == "":
		return fmt.Sprintf("the backup target %s leads nowhere", name)
	case j.found.Longhorn.Targets[at].Unavailable:
		return fmt.Sprintf("the backup target %s is not available", name)
	}
	var why []string
	for _, job := range j.found.Longhorn.Jobs {
		reason := job.passesOver(volume)
		if reason == "" {
			return ""
		}
		why = append(why, fmt.Sprintf("%s %s", job.Name, reason))
	}
	if len(why) == 0 {
		return "there is no recurring job"
	}
	return "no job covers it: " + strings.Join(unique(why), ", ")
}

// passesOver says why a job does not back a volume up; empty if it does. A job
// runs for the volumes that carry its label or that of one of its groups; what
// carries none of either belongs to the group default, as Longhorn has it.
func (job FoundJob) passesOver(volume FoundLonghornVolume) string {
	if job.Namespace != volume.Namespace {
		return fmt.Sprintf("is of the namespace %s, and the volume of %s", job.Namespace, volume.Namespace)
	}
	if job.Task != "backup" && job.Task != "backup-force-create" {
		return "is of task " + cmp.Or(job.Task, "none")
	}
	if why := never(job.Cron); why != "" {
		return why
	}
	labelled := false
	for label := range volume.Labels {
		labelled = labelled || strings.HasPrefix(label, jobLabel) || strings.HasPrefix(label, groupLabel)
	}
	if volume.Labels[jobLabel+job.Name] == "enabled" || !labelled && slices.Contains(job.Groups, "default") {
		return ""
	}
	for _, group := range job.Groups {
		if volume.Labels[groupLabel+group] == "enabled" {
			return ""
		}
	}
	if len(job.Groups) == 0 {
		return "has no group"
	}
	return "is for " + strings.Join(job.Groups, ", ")
}
