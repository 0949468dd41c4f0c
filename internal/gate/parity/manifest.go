// SPDX-License-Identifier: GPL-3.0-or-later

// Package parity reads the parity manifest, which describes production, and
// compares a sandbox with it. It opens no connection: the package live reads the
// sandbox.
package parity

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// Manifest describes production. Lists are sorted, see Sort.
type Manifest struct {
	Kubernetes   Kubernetes
	Nodes        []Node // at least one
	Components   []Component
	Applications Applications
	Outside      []Outside
	Backups      []Backup
}

// Distribution is a distribution of Kubernetes.
type Distribution string

// The distributions. A version has its distribution after the plus:
// v1.34.3+k3s1, v1.34.3+k3s1.embedded.
const (
	k3s      Distribution = "k3s"
	embedded Distribution = "embedded"
	other    Distribution = "other"
)

// Kubernetes is the version that the API server reports.
type Kubernetes struct {
	Distribution Distribution
	Version      string // gitVersion of /version
}

// Node is one machine of the cluster.
type Node struct {
	Name string
	// Roles are "server" (a control plane) or "agent", and any further
	// node-role.kubernetes.io/ROLE. Sorted.
	Roles        []string
	Architecture string // GOARCH, as arm64
}

// Component is a piece of software in the cluster.
type Component struct {
	Name    string
	Version string // see FoundBy
	FoundBy FoundBy
}

// FoundBy is how the version of a component is found. Exactly one field is set.
type FoundBy struct {
	HelmRelease *HelmRelease
	Image       *Image
	APIGroup    string // the version is the group's preferred one
}

// HelmRelease is a release that Helm keeps in a secret of its namespace.
type HelmRelease struct {
	Namespace string
	Name      string
	VersionOf VersionOf
}

// VersionOf selects one of a chart's two versions.
type VersionOf string

// The versions of a chart: version and appVersion.
const (
	OfChart VersionOf = "chart" // version of Chart.yaml; the default
	OfApp   VersionOf = "app"   // appVersion of Chart.yaml
)

// Image is an image that containers of the cluster run; the version is its tag.
type Image struct {
	Namespace  string // empty for any
	Repository string // as hashicorp/vault; see SameRepository
}

// Applications lists all Applications of ArgoCD in one namespace; any other there is a drift.
type Applications struct {
	Namespace string
	Items     []Application
}

// Application is one Application of ArgoCD.
type Application struct {
	Name    string
	Sources []Source // at least one, in the order of the Application
}

// Source is where an Application comes from.
type Source struct {
	Repository string // owner/name without the forge; for a Helm repository, host and path. See RepositoryOf
	Path       string // folder in the repository; empty if Chart is set, or for a source of values only
	Chart      string // name of the chart, if Repository is one of Helm
	Revision   string // a policy (branch, tag, commit, head), or the name itself. See Policy
}

// Outside is a service that must run outside Kubernetes, by docker compose.
type Outside struct {
	Name    string
	Hosts   string // group of the inventory; the service runs on each of its hosts
	Version string // 17 means every 17.x
	Compose Compose
	// Images are further repositories that contain it, in addition to Compose.Image
	// and well-known ones. They identify it in the cluster. See SameRepository.
	Images []string
}

// Compose is a service of a project of docker compose.
type Compose struct {
	Project string
	Service string
	Image   string // repository; see SameRepository
}

// Backup lists claims that Longhorn must back up: one claim, or every claim of a
// storage class. Either Namespace and Claim or StorageClass is set.
type Backup struct {
	Namespace    string
	Claim        string
	StorageClass string
	MayBeEmpty   bool // accept a class without claims
}

// DistributionOf returns the distribution of a version.
func DistributionOf(version string) Distribution {
	_, build, _ := strings.Cut(version, "+")
	switch {
	case build == "embedded", strings.HasSuffix(build, ".embedded"):
		return embedded
	case strings.HasPrefix(build, "k3s"):
		return k3s
	}
	return other
}

var (
	commitName = lazyregexp.New(`^[0-9a-f]{40}$`)
	tagName    = lazyregexp.New(`^v?[0-9]+(\.[0-9]+)*([-+][0-9A-Za-z.+-]+)?$`)
)

// revisionPolicies are the values that accept any revision of one kind. Every
// other value is the name of a revision.
func revisionPolicies() []string { return []string{"branch", "tag", "commit", "head"} }

// Policy returns the kind of a targetRevision: "head" if it is empty or HEAD,
// "commit" for a full hash, "tag" for refs/tags/ and for versions, else "branch".
// A tag with a name like a branch's counts as a branch: only the forge knows.
func Policy(targetRevision string) string {
	switch {
	case targetRevision == "" || targetRevision == "HEAD":
		return "head"
	case commitName.MatchString(targetRevision):
		return "commit"
	case strings.HasPrefix(targetRevision, "refs/heads/"):
		return "branch"
	case strings.HasPrefix(targetRevision, "refs/tags/") || tagName.MatchString(targetRevision):
		return "tag"
	}
	return "branch"
}

// RepositoryOf converts the URL of a repository to the manifest's form: owner/name for
// Git, since production's forge and the sandbox's differ; host and path for a
// chart repository; in lower case and without .git.
func RepositoryOf(url string, chart bool) string {
	rest := strings.ToLower(strings.TrimSpace(url))
	if _, after, isURL := strings.Cut(rest, "://"); isURL {
		rest = after
	} else if host, path, scp := strings.Cut(rest, ":"); scp && !strings.ContainsAny(host, "/") {
		rest = host + "/" + path // git@host:owner/name
	}
	if at := strings.LastIndexByte(strings.SplitN(rest, "/", 2)[0], '@'); at >= 0 {
		rest = rest[at+1:] // remove credentials
	}
	rest = strings.TrimSuffix(strings.Trim(rest, "/"), ".git")
	if chart {
		return rest
	}
	parts := strings.Split(rest, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// SplitImage splits an image's reference. Without a tag, tag is the digest or,
// without a digest, "latest".
func SplitImage(reference string) (repository, tag string) {
	name, digest, _ := strings.Cut(reference, "@")
	slash := strings.LastIndexByte(name, '/')
	if colon := strings.LastIndexByte(name, ':'); colon > slash {
		return name[:colon], name[colon+1:]
	}
	if digest != "" {
		return name, digest
	}
	return name, "latest"
}

// SameRepository returns whether an image repository is the expected one, also
// below another registry or owner, so that mirrors match. "postgres" matches
// docker.io/library/postgres and registry.example/mirror/postgres, but not
// postgres-exporter.
func SameRepository(found, meant string) bool {
	return found == meant || strings.HasSuffix(found, "/"+meant)
}

// Sort sorts a manifest: lists by name, backups by storage class first. The order
// of an Application's sources stays.
func (m *Manifest) Sort() {
	for i := range m.Nodes {
		slices.Sort(m.Nodes[i].Roles)
	}
	slices.SortFunc(m.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Components, func(a, b Component) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Applications.Items, func(a, b Application) int { return cmp.Compare(a.Name, b.Name) })
	for i := range m.Outside {
		slices.Sort(m.Outside[i].Images)
	}
	slices.SortFunc(m.Outside, func(a, b Outside) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Backups, func(a, b Backup) int {
		return cmp.Or(cmp.Compare(b.StorageClass, a.StorageClass), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Claim, b.Claim))
	})
}

// Load reads the manifest in file.
func Load(file string) (*Manifest, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the parity manifest: %w; capture one from production", err)
	}
	return Parse(file, data)
}
