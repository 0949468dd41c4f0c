// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// stand is what the manifest lab describes, as it would be found.
func stand(t *testing.T) (*Manifest, Found) {
	t.Helper()
	m, err := Parse("lab.yml", []byte(lab))
	require.NoError(t, err)
	return m, Found{
		Version: "v1.34.3+k3s1",
		Nodes: []FoundNode{
			{Name: "pi1", Roles: []string{"server", "etcd"}, Architecture: "arm64", Version: "v1.34.3+k3s1", Ready: true},
			{Name: "pi2", Roles: []string{"agent"}, Architecture: "arm64", Version: "v1.34.3+k3s1", Ready: true},
		},
		Releases: []FoundRelease{
			{Namespace: "longhorn-system", Name: "longhorn", Chart: "longhorn", ChartVersion: "1.10.1", AppVersion: "v1.10.1", Revision: 3},
			{Namespace: "kube-system", Name: "traefik", Chart: "traefik", ChartVersion: "37.1.1", AppVersion: "3.5", Revision: 1},
		},
		Images: []FoundImage{{Namespace: "tools", Workload: "StatefulSet vault", Container: "vault", Reference: "hashicorp/vault:1.19"}},
		Groups: []FoundGroup{{Name: "cert-manager.io", Preferred: "v1", Versions: []string{"v1"}}},
		Applications: []FoundApplication{
			{Namespace: "argocd", Name: "tools", Sources: []Source{{Repository: "git@forge.test:arcodange-org/tools.git", Path: "chart/", Revision: "any"}}},
			{Namespace: "argocd", Name: "erp", Sources: []Source{{Repository: "https://forge.test/Arcodange-Org/erp", Path: "./chart", Revision: "refs/heads/main"}}},
			{Namespace: "argocd", Name: "plausible", Sources: []Source{
				{Repository: "https://charts.example.org/stable/", Chart: "plausible", Revision: "1.2.3"}, {Repository: "https://forge.test/arcodange-org/values"},
			}},
		},
		Claims:   []FoundClaim{{Namespace: "erp", Name: "erp-data", StorageClass: "longhorn", Volume: "pv"}},
		Volumes:  []FoundVolume{{Name: "pv", Driver: "driver.longhorn.io", Handle: "pvc"}},
		Longhorn: longhorn(),
		Hosts: map[string]foundHost{
			"pi2": {Groups: []string{"postgres"}, Containers: []foundContainer{
				{Name: "postgres-postgres-1", Project: "postgres", Service: "postgres", Image: "docker.io/library/postgres:16.3", Status: "running", Health: "healthy"},
			}},
			"pi1": {Groups: []string{"pihole"}, Containers: []foundContainer{}},
		},
		Fence: FenceInForce,
	}
}

func longhorn() FoundLonghorn {
	return FoundLonghorn{
		Volumes: []FoundLonghornVolume{{Namespace: "longhorn-system", Name: "pvc", Labels: map[string]string{"recurring-job-group.longhorn.io/default": "enabled"}}},
		Jobs:    []FoundJob{{Namespace: "longhorn-system", Name: "nightly", Task: "backup", Cron: "@daily", Groups: []string{"default"}}},
		Targets: []FoundTarget{{Namespace: "longhorn-system", Name: "default", URL: "s3://x@y/"}},
	}
}

func paths(drifts []gate.Finding) []string {
	out := []string{}
	for _, d := range drifts {
		out = append(out, d.Path)
	}
	return out
}

func TestASandboxThatMatchesProductionHasNoDrift(t *testing.T) {
	t.Parallel()
	m, found := stand(t)
	drifts, deviations := Compare(m, found)
	assert.Empty(t, drifts)
	assert.Empty(t, deviations)
}

func TestEachDifferenceIsNamedOnceAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seed  func(*Manifest, *Found)
		wants []string
		says  string
	}{
		"another patch of k3s": {func(_ *Manifest, f *Found) { f.Version = "v1.34.3+k3s2" }, []string{"kubernetes/version"}, "expected v1.34.3+k3s1, found v1.34.3+k3s2"},
		"another distribution of the same version": {
			func(_ *Manifest, f *Found) { f.Version = "v1.34.3+rke2r1" }, []string{"kubernetes/distribution"}, "expected k3s, found other (v1.34.3+rke2r1)",
		},
		"machines that can leave the sandbox":     {func(_ *Manifest, f *Found) { f.Fence = FenceMissing }, []string{"fence"}, "expected in_force, found missing"},
		"a fence that was not looked at":          {func(_ *Manifest, f *Found) { f.Fence = "" }, nil, ""},
		"another distribution of another version": {func(_ *Manifest, f *Found) { f.Version = "v1.33.0" }, []string{"kubernetes/distribution", "kubernetes/version"}, ""},
		"an upgrade of the whole cluster is one drift": {
			func(_ *Manifest, f *Found) {
				f.Version, f.Nodes[0].Version, f.Nodes[1].Version = "v1.35.0+k3s1", "v1.35.0+k3s1", "v1.35.0+k3s1"
			}, []string{"kubernetes/version"}, "",
		},
		"a node that an upgrade left behind": {
			func(_ *Manifest, f *Found) { f.Version, f.Nodes[0].Version = "v1.35.0+k3s1", "v1.35.0+k3s1" }, []string{"kubernetes/version"}, "",
		},
		"a node ahead of the others":        {func(_ *Manifest, f *Found) { f.Nodes[1].Version = "v1.35.0+k3s1" }, []string{"nodes/pi2/version"}, ""},
		"a node without a status":           {func(_ *Manifest, f *Found) { f.Nodes[1].Ready, f.Nodes[1].Why = false, "it never told" }, []string{"nodes/pi2/ready"}, "not ready: it never told"},
		"a server without its further role": {func(_ *Manifest, f *Found) { f.Nodes[0].Roles = []string{"server"} }, []string{"nodes/pi1/roles"}, "expected etcd, server, found server"},
		"a chart by its application":        {func(_ *Manifest, f *Found) { f.Releases[0].AppVersion = "v1.10.2" }, []string{"components/longhorn/version"}, ""},
		"a chart whose own version changed": {func(_ *Manifest, f *Found) { f.Releases[0].ChartVersion = "9" }, nil, ""},
		"a release of another namespace":    {func(_ *Manifest, f *Found) { f.Releases[1].Namespace = "traefik" }, []string{"components/traefik"}, "found absent"},
		"a component only a Job runs":       {func(_ *Manifest, f *Found) { f.Images[0].Ends = true }, []string{"components/vault"}, ""},
		"an exporter is not the thing itself": {func(_ *Manifest, f *Found) {
			f.Images = append(f.Images, FoundImage{Reference: "prom/postgres-exporter:1"})
		}, nil, ""},
		"an outside thing by the name of its entry": {
			func(_ *Manifest, f *Found) {
				f.Images = append(f.Images, FoundImage{Namespace: "db", Workload: "Pod x", Reference: "ghcr.test/cloudnative-pg/postgresql:16"})
			},
			[]string{"outside/postgresql/kubernetes"}, "db/Pod x with ghcr.test/cloudnative-pg/postgresql:16",
		},
		"an outside thing by an image that the manifest adds": {
			func(m *Manifest, f *Found) {
				m.Outside[0].Images = []string{"lab/database"}
				f.Images = append(f.Images, FoundImage{Namespace: "db", Workload: "Pod x", Reference: "registry.test/lab/database:3"})
			},
			[]string{"outside/postgresql/kubernetes"}, "db/Pod x with registry.test/lab/database:3",
		},
		"an outside thing that is only known by its port": {
			func(_ *Manifest, f *Found) {
				f.Images = append(f.Images, FoundImage{Namespace: "db", Workload: "Pod x", Reference: "lab/database:3", Ports: []int{8008, 5432}})
			},
			[]string{"outside/postgresql/port"}, "expected nothing in Kubernetes that serves its port 5432, found db/Pod x with lab/database:3",
		},
		"an outside thing that is only known by its Service": {
			func(_ *Manifest, f *Found) {
				f.Images = append(f.Images, FoundImage{Namespace: "db", Workload: "Pod x", Reference: "lab/database:3", Labels: map[string]string{"app": "x", "more": ""}},
					FoundImage{Namespace: "db", Workload: "Pod y", Reference: "lab/web:3", Labels: map[string]string{"app": "y"}},
					FoundImage{Namespace: "erp", Workload: "Pod x", Reference: "lab/web:3", Labels: map[string]string{"app": "x"}})
				f.Services = []FoundService{{Namespace: "db", Name: "main", Selector: map[string]string{"app": "x"}, Ports: []int{15432, 5432}}}
			},
			[]string{"outside/postgresql/port"}, "port 5432, found db/Pod x with lab/database:3 behind the Service main (",
		},
		"a Service in front of a pool of connections, or to nothing": {
			func(_ *Manifest, f *Found) {
				f.Images = append(f.Images, FoundImage{Namespace: "db", Workload: "Pod x", Reference: "edoburu/pgbouncer:1", Labels: map[string]string{"app": "x"}},
					FoundImage{Namespace: "db", Workload: "Pod x", Reference: "lab/exporter:1", Labels: map[string]string{"app": "x"}})
				f.Services = []FoundService{
					{Namespace: "db", Name: "main", Selector: map[string]string{"app": "x"}, Ports: []int{5432}},
					{Namespace: "db", Name: "none", Selector: map[string]string{"app": "none"}, Ports: []int{5432}},
					{Namespace: "tools", Name: "web", Selector: map[string]string{}, Ports: []int{80}},
				}
			}, nil, "",
		},
		"a service that is found by its image is not reported by its port too": {
			func(_ *Manifest, f *Found) {
				f.Images = append(f.Images, FoundImage{Namespace: "db", Workload: "Pod x", Reference: "postgres:17", Ports: []int{5432}, Labels: map[string]string{"app": "x"}})
				f.Services = []FoundService{{Namespace: "db", Name: "main", Selector: map[string]string{"app": "x"}, Ports: []int{5432}}}
			},
			[]string{"outside/postgresql/kubernetes"}, "",
		},
		"a Job that serves its port": {func(_ *Manifest, f *Found) {
			f.Images = append(f.Images, FoundImage{Reference: "lab/check:3", Ports: []int{5432}, Ends: true})
		}, nil, ""},
		"ways to an outside thing are not it": {func(_ *Manifest, f *Found) {
			for _, image := range []string{
				"edoburu/pgbouncer:1", "bitnami/pgpool:4", "rancher/klipper-lb:v0.4.9", "rancher/mirrored-library-traefik:3", "haproxytech/haproxy-alpine:3",
				"envoyproxy/envoy:v1", "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2", "alpine/socat:1", "registry.k8s.io/ingress-nginx/nginx-ingress:1",
			} {
				f.Images = append(f.Images, FoundImage{Namespace: "erp", Workload: "Pod x", Reference: image, Ports: []int{5432}})
			}
		}, nil, ""},
		"what production has in the cluster is meant to be there": {
			func(m *Manifest, f *Found) {
				m.Components = append(m.Components, Component{Name: "vectors", Version: "pg17", FoundBy: FoundBy{Image: &Image{Namespace: "ai", Repository: "pgvector/pgvector"}}})
				f.Images = append(f.Images, FoundImage{Namespace: "ai", Workload: "Pod x", Reference: "pgvector/pgvector:pg17", Ports: []int{5432}})
			}, nil, "",
		},
		"what production has in another namespace of the cluster is not": {
			func(m *Manifest, f *Found) {
				m.Components = append(m.Components, Component{Name: "vectors", Version: "pg17", FoundBy: FoundBy{Image: &Image{Namespace: "ai", Repository: "pgvector/pgvector"}}})
				f.Images = append(f.Images, FoundImage{Namespace: "ai", Workload: "Pod x", Reference: "pgvector/pgvector:pg17"}, FoundImage{Namespace: "erp", Workload: "Pod y", Reference: "pgvector/pgvector:pg17"})
			}, []string{"outside/postgresql/kubernetes"}, "found erp/Pod y with pgvector/pgvector:pg17 (",
		},
		"an application of another namespace with the same name": {
			func(_ *Manifest, f *Found) {
				f.Applications = append(f.Applications, FoundApplication{Namespace: "x", Name: "erp"})
			}, []string{"applications/x:erp"}, "",
		},
		"a chart from Git instead": {
			func(_ *Manifest, f *Found) {
				f.Applications[2].Sources[0] = Source{Repository: "https://forge.test/stable", Path: "plausible", Revision: "1.2.3"}
			},
			[]string{"applications/plausible/sources/0/chart", "applications/plausible/sources/0/path", "applications/plausible/sources/0/repository"}, "",
		},
		"two versions of a component at once": {
			func(_ *Manifest, f *Found) {
				f.Images = append(f.Images, FoundImage{Namespace: "tools", Workload: "Pod x", Reference: "hashicorp/vault:2"})
			},
			[]string{"components/vault/version"}, "found 1.19, 2 (images of hashicorp/vault: tools/Pod x, tools/StatefulSet vault)",
		},
		"a source that was taken out": {
			func(_ *Manifest, f *Found) { f.Applications[2].Sources = f.Applications[2].Sources[:1] }, []string{"applications/plausible/sources"}, "",
		},
		"a tag where a branch is followed": {
			func(_ *Manifest, f *Found) { f.Applications[0].Sources[0].Revision = "v1.0.0" }, []string{"applications/tools/revision"}, "expected branch, found tag (v1.0.0)",
		},
		"a service that is stopped": {
			func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Status = "exited" }, []string{"outside/postgresql/hosts/pi2/running"},
			"outside/postgresql/hosts/pi2/running: expected running, found exited (Docker engine of pi2)",
		},
		"a service that ends over and over": {
			func(_ *Manifest, f *Found) {
				f.Hosts["pi2"].Containers[0].Status, f.Hosts["pi2"].Containers[0].Health = "restarting", "starting"
			}, []string{"outside/postgresql/hosts/pi2/running"}, "expected running, found restarting",
		},
		"a service that runs and is not well": {
			func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Health = "unhealthy" }, []string{"outside/postgresql/hosts/pi2/running"},
			"expected running, found running, and its health is unhealthy",
		},
		"a service that was never well yet": {
			func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Health = "starting" }, []string{"outside/postgresql/hosts/pi2/running"},
			"found running, and its health is starting",
		},
		"a service without a health requirement":  {func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Health = "" }, nil, ""},
		"a service whose health is not looked at": {func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Health = "none" }, nil, ""},
		"a new container that is not well beside the one that it replaced": {
			func(_ *Manifest, f *Found) {
				host := f.Hosts["pi2"]
				old := host.Containers[0]
				old.Status, old.Health = "exited", ""
				host.Containers[0].Health = "unhealthy"
				host.Containers = append([]foundContainer{old}, host.Containers...)
				f.Hosts["pi2"] = host
			}, []string{"outside/postgresql/hosts/pi2/running"}, "",
		},
		"a finer version than the one expected": {func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Image = "postgres:16.3.2" }, nil, ""},
		"a version that only begins like the one expected": {
			func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Image = "postgres:16.30" }, []string{"outside/postgresql/hosts/pi2/version"}, "",
		},
		"a job that makes snapshots only": {
			func(_ *Manifest, f *Found) { f.Longhorn.Jobs[0].Task = "snapshot" }, []string{"backups/erp/erp-data"}, "nightly is of task snapshot",
		},
		"two hosts of which one runs nothing": {
			func(_ *Manifest, f *Found) { f.Hosts["pi3"] = foundHost{Groups: []string{"postgres"}} }, []string{"outside/postgresql/hosts/pi3"}, "",
		},
		"a service with another image": {
			func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Image = "percona:16.3" }, []string{"outside/postgresql/hosts/pi2/image"}, "expected postgres, found percona",
		},
		"a new container beside the one that it replaced": {
			func(_ *Manifest, f *Found) {
				old := f.Hosts["pi2"].Containers[0]
				old.Status, old.Image = "exited", "postgres:15.1"
				host := f.Hosts["pi2"]
				host.Containers = append(host.Containers, old)
				f.Hosts["pi2"] = host
			}, nil, "",
		},
		"a version that the label tells": {
			func(_ *Manifest, f *Found) {
				f.Hosts["pi2"].Containers[0].Image, f.Hosts["pi2"].Containers[0].Labels = "postgres:latest", map[string]string{"org.opencontainers.image.version": "16.4"}
			}, []string{"outside/postgresql/hosts/pi2/version"}, "found 16.4 (Docker engine of pi2, label of postgres:latest)",
		},
		"a version that the environment tells": {
			func(_ *Manifest, f *Found) {
				f.Hosts["pi2"].Containers[0].Image = "local/postgres:302463ae79dbe4fd"
				f.Hosts["pi2"].Containers[0].Environment = map[string]string{"PG_MAJOR": "16", "PG_VERSION": "16.3-1.pgdg120+1"}
			}, nil, "",
		},
		"a version that nothing tells": {
			func(_ *Manifest, f *Found) { f.Hosts["pi2"].Containers[0].Image = "postgres" }, []string{"outside/postgresql/hosts/pi2/version"}, "found latest",
		},
		"a volume without any label is of the group default": {func(_ *Manifest, f *Found) { f.Longhorn.Volumes[0].Labels = nil }, nil, ""},
		"a volume that another job names is not": {func(_ *Manifest, f *Found) {
			f.Longhorn.Volumes[0].Labels = map[string]string{"recurring-job.longhorn.io/x": "enabled"}
		}, []string{"backups/erp/erp-data"}, ""},
		"no job at all":           {func(_ *Manifest, f *Found) { f.Longhorn.Jobs = nil }, []string{"backups/erp/erp-data"}, "found there is no recurring job"},
		"no backup target at all": {func(_ *Manifest, f *Found) { f.Longhorn.Targets = nil }, []string{"backups/erp/erp-data"}, "the backup target default leads nowhere"},
		"a volume with a target of its own that is not there": {
			func(_ *Manifest, f *Found) { f.Longhorn.Volumes[0].Target = "other" }, []string{"backups/erp/erp-data"}, "the backup target other leads nowhere",
		},
		"a job of another namespace, where Longhorn does not look": {
			func(_ *Manifest, f *Found) { f.Longhorn.Jobs[0].Namespace = "erp" }, []string{"backups/erp/erp-data"},
			"no job covers it: nightly is of the namespace erp, and the volume of longhorn-system",
		},
		"a job of another namespace that the volume names": {
			func(_ *Manifest, f *Found) {
				f.Longhorn.Jobs[0].Namespace, f.Longhorn.Jobs[0].Groups = "default", nil
				f.Longhorn.Volumes[0].Labels = map[string]string{"recurring-job.longhorn.io/nightly": "enabled"}
			}, []string{"backups/erp/erp-data"}, "nightly is of the namespace default",
		},
		"a backup target of another namespace": {
			func(_ *Manifest, f *Found) { f.Longhorn.Targets[0].Namespace = "erp" }, []string{"backups/erp/erp-data"}, "the backup target default leads nowhere",
		},
		"a backup target of another namespace beside Longhorn's, which does not answer": {
			func(_ *Manifest, f *Found) {
				f.Longhorn.Targets[0].Unavailable = true
				f.Longhorn.Targets = append([]FoundTarget{{Namespace: "erp", Name: "default", URL: "s3://x@y/"}}, f.Longhorn.Targets...)
			}, []string{"backups/erp/erp-data"}, "the backup target default is not available",
		},
		"a volume of another namespace that a job of there covers": {
			func(_ *Manifest, f *Found) {
				other := longhorn()
				other.Volumes[0].Namespace, other.Jobs[0].Namespace, other.Targets[0].Namespace = "erp", "erp", "erp"
				f.Longhorn.Volumes = append(other.Volumes, f.Longhorn.Volumes...)
				f.Longhorn.Targets = append(other.Targets, f.Longhorn.Targets...)
				f.Longhorn.Jobs = other.Jobs
			}, []string{"backups/erp/erp-data"}, "nightly is of the namespace erp",
		},
		"a schedule of a day that no year has": {
			func(_ *Manifest, f *Found) { f.Longhorn.Jobs[0].Cron = "0 0 31 2 *" }, []string{"backups/erp/erp-data"},
			`nightly has the schedule "0 0 31 2 *", which never comes`,
		},
		"claims that all moved to another class": {
			func(_ *Manifest, f *Found) { f.Claims[0].StorageClass = "local-path" }, []string{"backups/longhorn"},
			"backups/longhorn: expected claims that are backed up, found no claim of the class (claims of the API server)",
		},
		"no claim of a class that may be empty": {
			func(m *Manifest, f *Found) {
				m.Backups = []Backup{{StorageClass: "longhorn", MayBeEmpty: true}}
				f.Claims[0].StorageClass = "local-path"
			}, nil, "",
		},
		"a claim of a class that may be empty": {
			func(m *Manifest, f *Found) {
				m.Backups = []Backup{{StorageClass: "longhorn", MayBeEmpty: true}}
				f.Longhorn.Jobs = nil
			}, []string{"backups/erp/erp-data"}, "",
		},
		"nothing but a cluster": {
			func(_ *Manifest, f *Found) { *f = Found{Version: f.Version, Nodes: f.Nodes} },
			[]string{"applications/erp", "applications/plausible", "applications/tools", "backups/erp/erp-data", "backups/longhorn", "components/cert-manager", "components/longhorn", "components/traefik", "components/vault", "outside/postgresql/hosts"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, found := stand(t)
			c.seed(m, &found)
			drifts, deviations := Compare(m, found)
			assert.Equal(t, append([]string{}, c.wants...), paths(drifts))
			assert.Empty(t, deviations)
			var all []string
			for _, d := range drifts {
				all = append(all, d.Message)
			}
			assert.Contains(t, strings.Join(all, "\n"), c.says)
		})
	}
}

func TestTheEmbeddedDistributionIsAlwaysADeviationAndADriftOnlyOfAnotherVersion(t *testing.T) {
	t.Parallel()
	m, found := stand(t)
	found.Version, found.Nodes[0].Version, found.Nodes[1].Version = "v1.34.3+k3s1.embedded", "v1.34.3+k3s1.embedded", "v1.34.3+k3s1.embedded"
	drifts, deviations := Compare(m, found)
	assert.Empty(t, drifts)
	assert.Equal(t, []string{"the embedded distribution (v1.34.3+k3s1.embedded) replaces v1.34.3+k3s1"}, deviations)

	found.Version = "v1.34.4+k3s1.embedded"
	drifts, deviations = Compare(m, found)
	assert.Equal(t, []string{"kubernetes/version"}, paths(drifts))
	assert.Len(t, deviations, 3, "the server, and two nodes that are not like it")

	m.Kubernetes = Kubernetes{embedded, "v1.34.4+k3s1.embedded"}
	found.Nodes[0].Version, found.Nodes[1].Version = found.Version, found.Version
	drifts, deviations = Compare(m, found)
	assert.Empty(t, drifts)
	assert.Len(t, deviations, 1, "also where the manifest has it")

	m, found = stand(t)
	found.Nodes[1].Version = "v1.34.3+k3s1.embedded"
	drifts, deviations = Compare(m, found)
	assert.Empty(t, drifts)
	assert.Equal(t, []string{"the node pi2 runs the embedded distribution (v1.34.3+k3s1.embedded)"}, deviations)

	m.Kubernetes = Kubernetes{embedded, "v1.34.3+k3s1.embedded"}
	drifts, _ = Compare(m, found)
	assert.Contains(t, paths(drifts), "kubernetes/distribution", "k3s is not the embedded one either")
}

// FuzzCompare holds every comparison to one promise: no path twice.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(lab), uint8(0))
	f.Add([]byte(lab), uint8(255))
	f.Fuzz(func(t *testing.T, data []byte, missing uint8) {
		m, err := Parse("f.yml", data)
		if err != nil {
			return
		}
		_, found := stand(t)
		for bit, lose := range []func(){
			func() { found.Nodes = nil }, func() { found.Images = nil }, func() { found.Applications = nil }, func() { found.Hosts = nil },
			func() { found.Claims = nil }, func() { found.Longhorn = FoundLonghorn{} }, func() { found.Groups = nil }, func() { found.Releases = nil },
		} {
			if missing&(1<<bit) != 0 {
				lose()
			}
		}
		drifts, _ := Compare(m, found)
		seen := map[string]bool{}
		for _, path := range paths(drifts) {
			assert.False(t, seen[path], "%s stands there twice", path)
			seen[path] = true
		}
		assert.True(t, slices.IsSorted(paths(drifts)))
	})
}

func TestHostsOfWhichNothingWasReadAreAnErrorAndNotEmpty(t *testing.T) {
	t.Parallel()
	hosts, err := ReadHosts(map[string]any{"pi2": map[string]any{"groups": []any{"postgres"}, "containers": []any{map[string]any{
		"name": "/postgres-postgres-1", "project": "postgres", "service": "postgres", "image": "postgres:16.3", "status": "running", "health": "healthy", "environment": []any{"PG_MAJOR=16"},
	}}}})
	require.NoError(t, err)
	assert.Equal(t, []string{"pi2"}, slices.Collect(maps.Keys(hosts)))
	assert.Equal(t, foundContainer{
		Name: "postgres-postgres-1", Project: "postgres", Service: "postgres", Image: "postgres:16.3", Status: "running", Health: "healthy", Environment: map[string]string{"PG_MAJOR": "16"},
	}, hosts["pi2"].Containers[0])
	for says, given := range map[string]any{
		"nothing was read from the Docker engine of pi2": map[string]any{"groups": []any{}},
		"unknown field":                         map[string]any{"groups": []any{}, "containers": []any{map[string]any{"password": "x"}}},
		"each must have groups and containers":  "pi2",
		"the container pg of pi2 has no status": map[string]any{"groups": []any{}, "containers": []any{map[string]any{"name": "/pg"}}},
	} {
		_, err := ReadHosts(map[string]any{"pi2": given})
		require.ErrorContains(t, err, says)
	}
}

func TestTheShippedManifestAndItsWaiversAreRead(t *testing.T) {
	t.Parallel()
	m, err := Load("../../../inventory/parity/manifest.yml")
	require.NoError(t, err)
	assert.Len(t, m.Nodes, 3)
	shipped, err := gate.ReadWaivers("../../../inventory/parity/waivers.yml", "parity")
	require.NoError(t, err)
	_, err = gate.NewReport("parity", "", Rules(), shipped)
	require.NoError(t, err)
}

func TestTheExamplesInTheDocumentationAreRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/parity.md")
	require.NoError(t, err)
	var examples []string
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		example, _, _ := strings.Cut(block, "```")
		examples = append(examples, example)
	}
	require.Len(t, examples, 2)
	_, err = Parse("manifest", []byte(examples[0]))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "waivers.yml")
	require.NoError(t, os.WriteFile(file, []byte(examples[1]), 0o600))
	_, err = gate.ReadWaivers(file, "parity")
	require.NoError(t, err)
}
