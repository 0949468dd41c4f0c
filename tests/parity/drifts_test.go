// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox

package parity

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver/docker"
	"github.com/arcodange-org/sandbox/internal/evidence"
	execute "github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

// seeded is one difference from production that is brought about.
type seeded struct {
	seed  func(t *testing.T, l *lab) // undone by the test's cleanup
	asks  judgement
	wants []string // paths of the drifts, all of them; empty for a state that is as good as production's
	says  string   // stands in what is told of them
}

const (
	vault    = "/apis/apps/v1/namespaces/tools/statefulsets/vault"
	erp      = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/erp"
	sites    = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/plausible"
	nightly  = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/recurringjobs/nightly"
	erpDisk  = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes/pvc-erp"
	target   = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/backuptargets/default"
	releases = "/api/v1/namespaces/longhorn-system/secrets/sh.helm.release.v1.longhorn.v"
	crds     = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
)

func spec(fields object) object { return object{"spec": fields} }

func labels(fields object) object { return object{"metadata": object{"labels": fields}} }

func pods(image string) object {
	return spec(object{"template": object{"spec": object{"containers": []object{{"name": "vault", "image": image}}}}})
}

// workload is one that has an image in its template, and no pod.
func workload(kind, namespace, name string, template object) object {
	return object{
		"apiVersion": "apps/v1", "kind": kind, "metadata": object{"name": name, "namespace": namespace},
		"spec": object{
			"replicas": 0, "serviceName": name, "selector": object{"matchLabels": object{"app": name}},
			"template": object{"metadata": object{"labels": object{"app": name}}, "spec": template},
		},
	}
}

func containers(image string) object {
	return object{"containers": []object{{"name": "main", "image": image}}}
}

func serving(image string, port int) object {
	return object{"containers": []object{{"name": "main", "image": image, "ports": []object{{"containerPort": port}}}}}
}

// service leads to the pods of the workload of its name.
func service(name string) object {
	return object{
		"apiVersion": "v1", "kind": "Service", "metadata": object{"name": name, "namespace": "erp"},
		"spec": object{"selector": object{"app": name}, "ports": []object{{"port": 5432}}},
	}
}

func application(namespace, name, repository, path, revision string) object {
	return object{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": object{"name": name, "namespace": namespace},
		"spec": object{"source": object{"repoURL": repository, "path": path, "targetRevision": revision}},
	}
}

// disk is a claim with its volumes, as Longhorn provisions it.
func disk(t *testing.T, l *lab, name, driver string, marks object) {
	l.create(t, object{
		"apiVersion": "longhorn.io/v1beta2", "kind": "Volume",
		"metadata": object{"name": name, "namespace": "longhorn-system", "labels": marks},
		"spec":     object{"size": "1073741824", "backupTargetName": "default"},
	})
	l.create(t, object{
		"apiVersion": "v1", "kind": "PersistentVolume", "metadata": object{"name": name},
		"spec": object{
			"capacity": object{"storage": "1Gi"}, "accessModes": []string{"ReadWriteOnce"}, "storageClassName": "longhorn",
			"persistentVolumeReclaimPolicy": "Retain", "csi": object{"driver": driver, "volumeHandle": name},
		},
	})
	l.create(t, claim(name, name))
}

func claim(name, volume string) object {
	wants := object{
		"accessModes": []string{"ReadWriteOnce"}, "storageClassName": "longhorn", "resources": object{"requests": object{"storage": "1Gi"}},
	}
	if volume != "" {
		wants["volumeName"] = volume
	}
	return object{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": object{"name": name, "namespace": "erp"}, "spec": wants}
}

// unclaim takes a claim away until the test ends.
func unclaim(t *testing.T, l *lab, name, volume string) {
	l.remove(t, at("v1", "PersistentVolumeClaim", name))
	t.Cleanup(func() { // the volume is still kept for the claim that was
		require.NoError(t, l.do(http.MethodPatch, "/api/v1/persistentvolumes/"+volume, "application/merge-patch+json",
			spec(object{"claimRef": object{"uid": nil, "resourceVersion": nil}}), nil))
	})
}

// elsewhere puts a claim of another class in the place of all that are Longhorn's.
func elsewhere(t *testing.T, l *lab) {
	unclaim(t, l, "erp/erp-data", "pv-erp")
	unclaim(t, l, "tools/vault-data", "pv-vault")
	local := claim("uploads", "")
	local["spec"].(object)["storageClassName"] = "local-path"
	l.create(t, local)
}

// instead is the lab's manifest with one text for another.
func instead(t *testing.T, l *lab, from, to string) judgement {
	require.Contains(t, l.manifest, from)
	return judgement{manifest: strings.Replace(l.manifest, from, to, 1)}
}

func TestEachDriftOfTheSandboxIsFoundAndNothingElse(t *testing.T) {
	l := bringUp(t)
	first := l.green(t, judgement{})
	require.Len(t, first.Deviations, 1)
	assert.Contains(t, first.Deviations[0], "the embedded distribution (v1.34.3+k3s1.embedded) replaces v1.34.3+k3s1")
	assert.NotContains(t, first.raw, secretValue)

	for name, s := range inCluster(t, l) {
		run(t, l, name, s)
	}
	for name, s := range outsideCluster() {
		run(t, l, name, s)
	}
	t.Run("waivers", func(t *testing.T) { waivers(t, l) })
	t.Run("what cannot be read is no absence", func(t *testing.T) { unreadable(t, l) })
	t.Run("through Ansible", func(t *testing.T) { throughAnsible(t, l) })
	t.Run("a node that is not as it was", func(t *testing.T) { nodes(t, l) })
}

// least is how many differences stand in the tables: one that is taken out of
// them has to be taken out here as well, where it is seen.
const least = 63

func TestNoDifferenceIsTakenOutOfTheTablesUnseen(t *testing.T) {
	l := &lab{t: t, manifest: manifest(t)}
	red := map[string]int{} // by section
	all := 0
	for _, table := range []map[string]seeded{inCluster(t, l), outsideCluster()} {
		for _, s := range table {
			if len(s.wants) > 0 {
				section, _, _ := strings.Cut(s.wants[0], "/")
				red[section]++
				all++
			}
		}
	}
	assert.GreaterOrEqual(t, all, least, "differences that must be found: %v", red)
	for _, section := range []string{"kubernetes", "nodes", "components", "applications", "outside", "backups"} {
		assert.NotZero(t, red[section], "of the section %s", section)
	}
}

func run(t *testing.T, l *lab, name string, s seeded) {
	t.Run(name, func(t *testing.T) {
		if s.seed != nil {
			s.seed(t, l)
		}
		if len(s.wants) == 0 {
			l.green(t, s.asks)
			return
		}
		r := l.red(t, s.asks, s.wants...)
		assert.Contains(t, r.texts(), s.says)
		assert.Len(t, r.Deviations, 1, "the embedded distribution is told of in any case")
	})
	l.green(t, judgement{})
}

func inCluster(t *testing.T, l *lab) map[string]seeded {
	return map[string]seeded{
		// Kubernetes and nodes
		"another version of Kubernetes": {
			asks: instead(t, l, "v1.34.3+k3s1", "v1.34.4+k3s1"), wants: []string{"kubernetes/version"}, says: "expected v1.34.4+k3s1, found v1.34.3+k3s1.embedded",
		},
		"another distribution, which the embedded one stands in for": {
			asks: instead(t, l, "distribution: k3s\n  version: v1.34.3+k3s1", "distribution: other\n  version: v1.34.3+rke2r1"),
		},
		"a node more": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": "pi4"}})
			},
			wants: []string{"nodes/pi4"}, says: "expected absent, found agent",
		},
		"an agent that became a server": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, "/api/v1/nodes/pi2", labels(object{"node-role.kubernetes.io/control-plane": "true"}))
			},
			wants: []string{"nodes/pi2/roles"}, says: "expected agent, found server",
		},
		"an agent with one more role": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, "/api/v1/nodes/pi3", labels(object{"node-role.kubernetes.io/storage": ""}))
			},
			wants: []string{"nodes/pi3/roles"}, says: "expected agent, found agent, storage",
		},
		"a server by the old name of the role alone": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, "/api/v1/nodes/pi1", labels(object{"node-role.kubernetes.io/control-plane": nil, "node-role.kubernetes.io/master": "true"}))
			},
		},

		// components
		"a component patched to another tag": {
			seed:  func(t *testing.T, l *lab) { l.change(t, vault, pods("hashicorp/vault:1.20.0")) },
			wants: []string{"components/vault/version"}, says: "expected 1.19.0, found 1.20.0 (images of hashicorp/vault: tools/StatefulSet vault)",
		},
		"a component without a tag": {
			seed:  func(t *testing.T, l *lab) { l.change(t, vault, pods("hashicorp/vault")) },
			wants: []string{"components/vault/version"}, says: "found latest",
		},
		"a component of two versions at once": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "tools", "vault-new", containers("docker.io/hashicorp/vault:1.20.0")))
			},
			wants: []string{"components/vault/version"}, says: "found 1.19.0, 1.20.0",
		},
		"a component that is gone": {
			seed:  func(t *testing.T, l *lab) { l.remove(t, vault) },
			wants: []string{"components/vault"}, says: "expected 1.19.0, found absent",
		},
		"a component in another namespace": {
			seed: func(t *testing.T, l *lab) {
				l.remove(t, vault)
				l.create(t, workload("StatefulSet", "erp", "vault", containers("hashicorp/vault:1.19.0")))
			},
			wants: []string{"components/vault"},
		},
		"a component of a mirror, pinned by a digest too": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, vault, pods("mirror.sandbox.test:5000/hashicorp/vault:1.19.0@sha256:"+strings.Repeat("ab", 32)))
			},
		},
		"a release of another chart": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, release(t, "longhorn-system", "longhorn", 3, "deployed", "1.10.2", "v1.10.1"))
			},
			wants: []string{"components/longhorn/version"}, says: "expected 1.10.1, found 1.10.2 (release longhorn-system/longhorn of Helm, revision 3, chart longhorn)",
		},
		"a release of the same chart that installs another version": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, release(t, "longhorn-system", "longhorn", 3, "deployed", "1.10.1", "v1.10.2"))
			},
			wants: []string{"components/longhorn-app/version"}, says: "expected v1.10.1, found v1.10.2",
		},
		"a release that failed to be upgraded, so that the one before is deployed": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, release(t, "longhorn-system", "longhorn", 3, "failed", "1.10.2", "v1.10.2"))
			},
		},
		"a release that is gone": {
			seed:  func(t *testing.T, l *lab) { l.remove(t, releases+"2") },
			wants: []string{"components/longhorn", "components/longhorn-app"}, says: "found absent",
		},
		"a HelmChart that is not installed": {
			seed: func(t *testing.T, l *lab) {
				l.remove(t, releases+"2")
				l.create(t, object{
					"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart", "metadata": object{"name": "longhorn", "namespace": "kube-system"},
					"spec": object{"chart": "longhorn", "version": "1.10.1", "targetNamespace": "longhorn-system"},
				})
			},
			wants: []string{"components/longhorn", "components/longhorn-app"}, says: "no release, though the HelmChart kube-system/longhorn asks for longhorn 1.10.1",
		},
		"an API group that is gone": {
			seed:  func(t *testing.T, l *lab) { l.remove(t, crds+"certificates.cert-manager.io") },
			wants: []string{"components/cert-manager"}, says: "found absent (API groups)",
		},
		"an API group that prefers another version": {
			seed: func(t *testing.T, l *lab) {
				schema := object{"openAPIV3Schema": object{"type": "object"}}
				l.change(t, crds+"certificates.cert-manager.io", spec(object{"versions": []object{
					{"name": "v1", "served": true, "storage": true, "schema": schema}, {"name": "v2", "served": true, "storage": false, "schema": schema},
				}}))
			},
			wants: []string{"components/cert-manager/version"}, says: "expected v1, found v2 (API groups: cert-manager.io serves v2, v1)",
		},

		// applications
		"an application that is missing": {
			seed: func(t *testing.T, l *lab) { l.remove(t, erp) }, wants: []string{"applications/erp"}, says: "expected arcodange-org/erp chart at main, found absent",
		},
		"an application too many": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, application("argocd", "canary", "https://gitea.sandbox.test/arcodange-org/canary.git", "chart", "main"))
			},
			wants: []string{"applications/canary"}, says: "expected absent, found arcodange-org/canary chart at main",
		},
		"an application under another name": {
			seed: func(t *testing.T, l *lab) {
				l.remove(t, erp)
				l.create(t, application("argocd", "dolibarr", "https://gitea.sandbox.test/arcodange-org/erp.git", "chart", "main"))
			},
			wants: []string{"applications/dolibarr", "applications/erp"},
		},
		"an application of another namespace": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, application("tools", "erp", "https://gitea.sandbox.test/arcodange-org/erp.git", "chart", "main"))
			},
			wants: []string{"applications/tools:erp"},
		},
		"an application from another path": {
			seed:  func(t *testing.T, l *lab) { l.change(t, erp, spec(object{"source": object{"path": "deploy"}})) },
			wants: []string{"applications/erp/path"}, says: "expected chart, found deploy",
		},
		"an application from another repository": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, erp, spec(object{"source": object{"repoURL": "https://gitea.sandbox.test/somebody/erp.git"}}))
			},
			wants: []string{"applications/erp/repository"}, says: "expected arcodange-org/erp, found somebody/erp",
		},
		"an application at another branch than the one named": {
			seed:  func(t *testing.T, l *lab) { l.change(t, erp, spec(object{"source": object{"targetRevision": "next"}})) },
			wants: []string{"applications/erp/revision"}, says: "expected main, found next",
		},
		"an application that follows no branch any more": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/tools", spec(object{"source": object{"targetRevision": "v2.0.0"}}))
			},
			wants: []string{"applications/tools/revision"}, says: "expected branch, found tag (v2.0.0)",
		},
		"an application pinned to a commit": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/tools", spec(object{"source": object{"targetRevision": strings.Repeat("0a", 20)}}))
			},
			wants: []string{"applications/tools/revision"}, says: "expected branch, found commit",
		},
		"an application whose second source was taken out": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, sites, spec(object{"sources": []object{{"repoURL": "https://charts.example.org/stable", "chart": "plausible", "targetRevision": "1.2.3"}}}))
			},
			wants: []string{"applications/plausible/sources"},
		},
		"an application with another version of its chart": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, sites, spec(object{"sources": []object{
					{"repoURL": "https://charts.example.org/stable", "chart": "plausible", "targetRevision": "1.3.0"},
					{"repoURL": "https://gitea.sandbox.test/arcodange-org/values", "ref": "values"},
				}}))
			},
			wants: []string{"applications/plausible/sources/0/revision"}, says: "expected 1.2.3, found 1.3.0",
		},
		"no ArgoCD at all": {
			seed: func(t *testing.T, l *lab) {
				apps := []object{l.get(t, erp), l.get(t, sites), l.get(t, strings.Replace(erp, "/erp", "/tools", 1))}
				l.forget(t, crds+"applications.argoproj.io")
				t.Cleanup(func() {
					l.apply(t, documents(t, "testdata/crds.yml")[0])
					for _, app := range apps {
						require.EventuallyWithT(t, func(t *assert.CollectT) { l.apply(t, app) }, soon, 200*time.Millisecond)
					}
				})
			},
			wants: []string{"applications/erp", "applications/plausible", "applications/tools"},
		},

		// PostgreSQL in the cluster
		"PostgreSQL moved into the cluster": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "erp", "db", containers("docker.io/library/postgres:17")))
			},
			wants: []string{"outside/postgresql/kubernetes"}, says: "expected outside Kubernetes, found erp/StatefulSet db with docker.io/library/postgres:17",
		},
		"PostgreSQL moved into the cluster as another's image": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "erp", "db", containers("bitnami/postgresql:17.2.0")))
			},
			wants: []string{"outside/postgresql/kubernetes"},
		},
		"PostgreSQL moved into the cluster under a name that is well known": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "erp", "db", containers("ghcr.io/zalando/spilo-17:4.0-p2")))
				l.create(t, workload("StatefulSet", "erp", "maps", containers("postgis/postgis:17-3.5")))
			},
			wants: []string{"outside/postgresql/kubernetes"}, says: "found erp/StatefulSet db with ghcr.io/zalando/spilo-17:4.0-p2, erp/StatefulSet maps with postgis/postgis:17-3.5",
		},
		"PostgreSQL moved into the cluster under a name that the manifest adds": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "erp", "db", containers("registry.sandbox.test/arcodange-org/database:17")))
			},
			asks:  instead(t, l, "    version: \"17\"\n", "    version: \"17\"\n    images: [arcodange-org/database]\n"),
			wants: []string{"outside/postgresql/kubernetes"}, says: "with registry.sandbox.test/arcodange-org/database:17",
		},
		"PostgreSQL moved into the cluster under an unknown name": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "erp", "db", serving("arcodange-org/database:17", 5432)))
			},
			wants: []string{"outside/postgresql/port"}, says: "expected nothing in Kubernetes that serves its port 5432, found erp/StatefulSet db with arcodange-org/database:17",
		},
		"PostgreSQL moved into the cluster under an unknown name, behind a Service": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("StatefulSet", "erp", "db", containers("arcodange-org/database:17")))
				l.create(t, service("db"))
			},
			wants: []string{"outside/postgresql/port"}, says: "found erp/StatefulSet db with arcodange-org/database:17 behind the Service db",
		},
		"a pool of connections to PostgreSQL, which is not it": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, workload("Deployment", "erp", "pool", serving("edoburu/pgbouncer:1.24", 5432)))
				l.create(t, service("pool"))
			},
		},
		"PostgreSQL moved into the cluster as a lone pod": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, object{
					"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": "db", "namespace": "erp"},
					"spec": object{"nodeSelector": object{"none": "such"}, "containers": []object{{"name": "db", "image": "postgres:17"}}},
				})
			},
			wants: []string{"outside/postgresql/kubernetes"}, says: "erp/Pod db",
		},
		"a Job and an initial container with PostgreSQL's programs, which stand nowhere": {
			seed: func(t *testing.T, l *lab) {
				l.create(t, object{
					"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": "dump", "namespace": "erp"},
					"spec": object{"template": object{"spec": object{
						"restartPolicy": "Never", "nodeSelector": object{"none": "such"},
						"containers": []object{{"name": "dump", "image": "postgres:17"}},
					}}},
				})
				waits := containers("arcodange/erp:1")
				waits["initContainers"] = []object{{"name": "wait", "image": "postgres:17"}}
				l.create(t, workload("Deployment", "erp", "erp", waits))
				require.EventuallyWithT(t, func(t *assert.CollectT) {
					var pods struct{ Items []object }
					assert.NoError(t, l.do(http.MethodGet, "/api/v1/namespaces/erp/pods", "", nil, &pods))
					assert.NotEmpty(t, pods.Items, "the Job's pod is there")
				}, soon, 100*time.Millisecond)
			},
		},

		// backups
		"a backup job whose groups were emptied": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"groups": []string{}})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "no job covers it: nightly has no group, often is of task snapshot",
		},
		"a backup job for another group": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"groups": []string{"critical"}})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "nightly is for critical",
		},
		"a backup job that makes snapshots only": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"task": "snapshot"})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "nightly is of task snapshot",
		},
		"a backup job without a schedule": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"cron": ""})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "nightly has no schedule",
		},
		"a backup job whose day no year has": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"cron": "0 0 31 2 *"})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: `nightly has the schedule "0 0 31 2 *", which never comes`,
		},
		"a backup job once a year": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"cron": "@yearly"})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "with more than 35 days between two times",
		},
		"a backup job whose schedule is none": {
			seed:  func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"cron": "every night"})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: `nightly has the schedule "every night", which is none`,
		},
		"a backup job once a month, by its name": {
			seed: func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"cron": "@monthly"})) },
		},
		"a backup job in a namespace that Longhorn does not look into": {
			seed: func(t *testing.T, l *lab) {
				l.remove(t, nightly)
				l.create(t, object{
					"apiVersion": "longhorn.io/v1beta2", "kind": "RecurringJob", "metadata": object{"name": "nightly", "namespace": "erp"},
					"spec": object{"name": "nightly", "task": "backup", "cron": "0 3 * * *", "retain": 7, "concurrency": 1, "groups": []string{"default"}},
				})
			},
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "nightly is of the namespace erp, and the volume of longhorn-system",
		},
		"a backup target in a namespace that Longhorn does not look into": {
			seed: func(t *testing.T, l *lab) {
				l.remove(t, target)
				l.create(t, object{
					"apiVersion": "longhorn.io/v1beta2", "kind": "BackupTarget", "metadata": object{"name": "default", "namespace": "erp"},
					"spec": object{"backupTargetURL": "s3://sandbox@us-east-1/"},
				})
			},
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "the backup target default leads nowhere",
		},
		"a backup job that is gone": {
			seed:  func(t *testing.T, l *lab) { l.remove(t, nightly) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "no job covers it: often is of task snapshot",
		},
		"a volume that only a snapshot job names": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, erpDisk, labels(object{"recurring-job-group.longhorn.io/default": nil, "recurring-job.longhorn.io/often": "enabled"}))
			},
			wants: []string{"backups/erp/erp-data"},
		},
		"a volume whose group was disabled": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, erpDisk, labels(object{"recurring-job-group.longhorn.io/default": "disabled"}))
			},
			wants: []string{"backups/erp/erp-data"}, says: "nightly is for default",
		},
		"a new volume that no job covers": {
			seed: func(t *testing.T, l *lab) {
				disk(t, l, "uploads", "driver.longhorn.io", object{"recurring-job-group.longhorn.io/none": "enabled"})
			},
			wants: []string{"backups/erp/uploads"},
		},
		"a new volume that is one of another driver": {
			seed:  func(t *testing.T, l *lab) { disk(t, l, "uploads", "nfs.csi.k8s.io", object{}) },
			wants: []string{"backups/erp/uploads"}, says: "volume uploads: not a Longhorn volume",
		},
		"a claim that waits for its volume": {
			seed:  func(t *testing.T, l *lab) { l.create(t, claim("uploads", "")) },
			wants: []string{"backups/erp/uploads"}, says: "the claim is not bound to a volume",
		},
		"a volume that Longhorn lost": {
			seed:  func(t *testing.T, l *lab) { l.remove(t, erpDisk) },
			wants: []string{"backups/erp/erp-data"}, says: "Longhorn has no volume pvc-erp",
		},
		"a claim that is gone": {
			seed:  func(t *testing.T, l *lab) { unclaim(t, l, "erp/erp-data", "pv-erp") },
			wants: []string{"backups/erp/erp-data"}, says: "no such claim",
		},
		"claims that all moved to another class": {
			seed:  func(t *testing.T, l *lab) { elsewhere(t, l) },
			asks:  instead(t, l, "\n  - {namespace: erp, claim: erp-data}", ""),
			wants: []string{"backups/longhorn"}, says: "expected claims that are backed up, found no claim of the class",
		},
		"claims that all moved to another class, of one that may be empty": {
			seed: func(t *testing.T, l *lab) { elsewhere(t, l) },
			asks: instead(t, l, "{storage_class: longhorn}\n  - {namespace: erp, claim: erp-data}", "{storage_class: longhorn, may_be_empty: true}"),
		},
		"a backup target that leads nowhere": {
			seed:  func(t *testing.T, l *lab) { l.change(t, target, spec(object{"backupTargetURL": ""})) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "the backup target default leads nowhere",
		},
		"a backup target that does not answer": {
			seed:  func(t *testing.T, l *lab) { l.change(t, target, object{"status": object{"available": false}}) },
			wants: []string{"backups/erp/erp-data", "backups/tools/vault-data"}, says: "the backup target default is not available",
		},
		"volumes that a job of their own covers": {
			seed: func(t *testing.T, l *lab) {
				l.change(t, nightly, spec(object{"groups": []string{}}))
				for _, name := range []string{"pvc-erp", "pvc-vault"} {
					l.change(t, at("longhorn.io/v1beta2", "Volume", "longhorn-system/"+name), labels(object{"recurring-job.longhorn.io/nightly": "enabled"}))
				}
			},
		},
		"a backup job that makes room by force": {
			seed: func(t *testing.T, l *lab) { l.change(t, nightly, spec(object{"task": "backup-force-create"})) },
		},
	}
}

// edited changes the compose file of PostgreSQL until the test ends.
func edited(t *testing.T, l *lab, change string) {
	const file = "/opt/arcodange/postgres/compose.yml"
	up := []string{"docker", "compose", "--project-directory", "/opt/arcodange/postgres", "up", "--detach", "--pull", "never"}
	l.On(t, l.postgresql, "cp", file, "/root/compose.before")
	t.Cleanup(func() {
		l.On(t, l.postgresql, "cp", "/root/compose.before", file)
		l.On(t, l.postgresql, up...)
	})
	l.On(t, l.postgresql, "sed", "-i", change, file)
	l.On(t, l.postgresql, up...)
}

// inspected waits until Docker says something of PostgreSQL's container.
func inspected(t *testing.T, l *lab, format, says string) {
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		assert.Equal(t, says, strings.TrimSpace(l.On(t, l.postgresql, "docker", "inspect", "--format", format, "postgres-postgres-1")))
	}, soon, 100*time.Millisecond)
}

// unfence removes the rules on the host of the engine until the test ends.
func unfence(t *testing.T) {
	d := docker.Driver{Engine: dockercli.Engine{Runner: execute.Exec{}}}
	image, err := d.AnyImage(t.Context(), sandboxtest.Name)
	require.NoError(t, err)
	before, err := d.Fence(t.Context(), sandboxtest.Name, image)
	require.NoError(t, err)
	require.NotEmpty(t, before.Kept)
	require.NoError(t, d.RemoveFence(t.Context(), sandboxtest.Name, image))
	t.Cleanup(func() { require.NoError(t, d.LoadFence(context.Background(), sandboxtest.Name, image, before.Kept)) })
}

func outsideCluster() map[string]seeded {
	const project = "/opt/arcodange/postgres"
	compose := func(t *testing.T, l *lab, args ...string) {
		l.On(t, l.postgresql, append([]string{"docker", "compose", "--project-directory", project}, args...)...)
	}
	image := func(t *testing.T, l *lab) string {
		return strings.TrimSpace(l.On(t, l.postgresql, "docker", "inspect", "--format", "{{.Config.Image}}", "postgres-postgres-1"))
	}
	return map[string]seeded{
		"PostgreSQL is stopped": {
			seed: func(t *testing.T, l *lab) {
				compose(t, l, "stop")
				t.Cleanup(func() { compose(t, l, "start") })
			},
			wants: []string{"outside/postgresql/hosts/pi2/running"}, says: "expected running, found exited (Docker engine of pi2)",
		},
		"PostgreSQL ends over and over": {
			seed: func(t *testing.T, l *lab) {
				edited(t, l, `s|^    restart: .*|&\n    entrypoint: ["false"]|`)
				inspected(t, l, "{{.State.Status}}", "restarting")
			},
			wants: []string{"outside/postgresql/hosts/pi2/running"}, says: "expected running, found r",
		},
		"PostgreSQL runs and is not well": {
			seed: func(t *testing.T, l *lab) {
				edited(t, l, `s|"pg_isready".*|"false"]|; s|retries: .*|retries: 1|`)
				inspected(t, l, "{{.State.Health.Status}}", "unhealthy")
			},
			wants: []string{"outside/postgresql/hosts/pi2/running"}, says: "expected running, found running, and its health is unhealthy",
		},
		"PostgreSQL runs and was never well": {
			seed: func(t *testing.T, l *lab) {
				edited(t, l, `s|"pg_isready".*|"false"]|; s|retries: .*|retries: 1000|`)
			},
			wants: []string{"outside/postgresql/hosts/pi2/running"}, says: "expected running, found running, and its health is starting",
		},
		"PostgreSQL is gone": {
			seed: func(t *testing.T, l *lab) {
				compose(t, l, "down")
				t.Cleanup(func() { compose(t, l, "up", "--detach", "--pull", "never") })
			},
			wants: []string{"outside/postgresql/hosts/pi2"}, says: "the service postgres of the project postgres of docker compose, found absent",
		},
		"PostgreSQL runs, and docker compose did not start it": {
			seed: func(t *testing.T, l *lab) {
				name := image(t, l)
				compose(t, l, "down")
				t.Cleanup(func() { compose(t, l, "up", "--detach", "--pull", "never") })
				l.On(t, l.postgresql, "docker", "run", "--detach", "--name", "by-hand", "--entrypoint", "sleep", name, "infinity")
				t.Cleanup(func() { l.On(t, l.postgresql, "docker", "rm", "--force", "by-hand") })
			},
			wants: []string{"outside/postgresql/hosts/pi2"}, says: "the container by-hand, which docker compose did not start",
		},
		"PostgreSQL runs in another project": {
			seed: func(t *testing.T, l *lab) {
				compose(t, l, "down")
				t.Cleanup(func() { compose(t, l, "up", "--detach", "--pull", "never") })
				compose(t, l, "--project-name", "db", "up", "--detach", "--pull", "never")
				t.Cleanup(func() { compose(t, l, "--project-name", "db", "down", "--volumes") })
			},
			wants: []string{"outside/postgresql/hosts/pi2"}, says: "found the service postgres of the project db",
		},
		"PostgreSQL is of another version": {
			seed: func(t *testing.T, l *lab) {
				l.On(t, l.postgresql, "docker", "tag", image(t, l), "postgres:16.3")
				again := func(edit string) {
					l.On(t, l.postgresql, "sed", "-i.before", edit, project+"/compose.yml")
					compose(t, l, "up", "--detach", "--pull", "never")
				}
				before := image(t, l)
				again("s|image: .*|image: postgres:16.3|")
				t.Cleanup(func() {
					again("s|image: .*|image: " + before + "|")
					l.On(t, l.postgresql, "docker", "rmi", "postgres:16.3")
				})
			},
			wants: []string{"outside/postgresql/hosts/pi2/version"}, says: "expected 17, found 16.3 (Docker engine of pi2, tag of postgres:16.3)",
		},
		"no host is there for PostgreSQL": {
			asks:  judgement{hosts: object{}},
			wants: []string{"outside/postgresql/hosts"}, says: "expected a host of the group postgres, found none",
		},
	}
}

func waivers(t *testing.T, l *lab) {
	l.change(t, vault, pods("hashicorp/vault:1.20.0"))
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	one := func(path, expires string) string {
		return fmt.Sprintf("- {rule: parity/component, path: %s, reason: The new one is tried out., expires: %s}\n", path, expires)
	}
	t.Run("one that holds", func(t *testing.T) {
		r := l.green(t, judgement{waivers: one("components/vault/version", day(30))})
		require.Len(t, r.Waived, 1)
		assert.Equal(t, "components/vault/version", r.Waived[0].Path)
		assert.Equal(t, "The new one is tried out.", r.Waived[0].Waiver.Reason)
	})
	t.Run("one for any component", func(t *testing.T) {
		l.green(t, judgement{waivers: one("components/*/version", day(30))})
	})
	t.Run("one that expired waives nothing and is a drift", func(t *testing.T) {
		l.red(t, judgement{waivers: one("components/vault/version", "2020-02-29")}, "components/vault/version", "waivers/components/vault/version")
	})
	t.Run("one that waives nothing is a finding", func(t *testing.T) {
		l.red(t, judgement{waivers: one("components/traefik/version", day(30))}, "components/vault/version", "waivers/components/traefik/version")
	})
	for name, c := range map[string]struct{ text, says string }{
		"one without a reason": {"- {rule: parity/component, path: components/vault/version, expires: 2020-02-29}", `the key "reason" is missing`},
		"one without an end":   {"- {rule: parity/component, path: components/vault/version, reason: x}", `the key "expires" is missing`},
		"one that hardly ends": {one("components/vault/version", day(400)), "more than a year ahead"},
		"one for everything":   {one("'*/*/*'", day(30)), "it covers every finding of the rule"},
		"one for a deviation":  {"- {rule: parity/deviation, path: x, reason: x, expires: 2020-02-29}\n", `no rule of this gate is called "deviation"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := l.judge(t, judgement{waivers: c.text})
			assert.True(t, r.Failed)
			assert.Contains(t, r.Msg, c.says)
			assert.Empty(t, r.Verdict)
		})
	}
}

// unreadable asks as somebody who may read nothing, and where nobody answers.
func unreadable(t *testing.T, l *lab) {
	text, err := os.ReadFile(l.Kubeconfig())
	require.NoError(t, err)
	change := func(from, to string) judgement {
		require.Contains(t, string(text), from)
		path := filepath.Join(t.TempDir(), "kubeconfig")
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
		return judgement{kubeconfig: path}
	}
	as := func(user object) judgement {
		var config object
		require.NoError(t, yaml.Unmarshal(text, &config))
		config["users"].([]any)[0].(object)["user"] = user
		changed, err := yaml.Marshal(config)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "kubeconfig")
		require.NoError(t, os.WriteFile(path, changed, 0o600))
		return judgement{kubeconfig: path}
	}
	// An account of a namespace, which has no rights of its own.
	var token struct{ Status struct{ Token string } }
	require.NoError(t, l.do(http.MethodPost, "/api/v1/namespaces/default/serviceaccounts/default/token", "application/json",
		object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": object{}}, &token))
	for name, c := range map[string]struct {
		asks judgement
		says string
	}{
		"as somebody who may read nothing":  {as(object{"token": token.Status.Token}), "403 Forbidden"},
		"where nobody answers":              {change(":6443", ":6444"), "connection refused"},
		"where production is":               {change("172.30.31.11", "192.168.1.201"), "is refused before anything is sent"},
		"with credentials out of a program": {as(object{"exec": object{"apiVersion": "client.authentication.k8s.io/v1", "command": "true", "interactiveMode": "Never"}}), "a program for its credentials (exec)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := l.judge(t, c.asks)
			assert.True(t, r.Failed)
			assert.Contains(t, r.Msg, c.says)
			assert.Empty(t, r.Findings)
			assert.Empty(t, r.Verdict)
		})
	}
}

// throughAnsible runs the playbook, which gathers what it needs of the hosts by itself.
func throughAnsible(t *testing.T, l *lab) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.yml"), []byte(l.manifest), 0o600))
	ledger := filepath.Join(dir, "ledger.jsonl")
	asks := []string{"playbooks/gate_parity.yml", "--diff", "-e", "gate_parity_manifest=" + filepath.Join(dir, "manifest.yml"),
		"-e", fmt.Sprintf(`{"gate_parity_evidence": {"ledger": %q}}`, ledger)}
	require.NoError(t, l.Play(t, asks[0], asks[1:]...))
	t.Run("without the rules that keep machines inside", func(t *testing.T) {
		unfence(t)
		require.ErrorContains(t, l.Play(t, asks[0], asks[1:4]...), "fence: expected in_force, found missing (nftables on the host of the engine)")
	})
	l.change(t, vault, pods("hashicorp/vault:1.20.0"))
	l.On(t, l.postgresql, "docker", "compose", "--project-directory", "/opt/arcodange/postgres", "stop")
	t.Cleanup(func() {
		l.On(t, l.postgresql, "docker", "compose", "--project-directory", "/opt/arcodange/postgres", "start")
	})
	err := l.Play(t, asks[0], asks[1:]...)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "components/vault/version: expected 1.19.0, found 1.20.0 (images of hashicorp/vault: tools/StatefulSet vault) (and 1 more)")
	assert.Contains(t, err.Error(), `-    "components/vault/version": "1.19.0",`)
	assert.Contains(t, err.Error(), `+    "components/vault/version": "1.20.0",`)
	assert.Contains(t, err.Error(), `+    "outside/postgresql/hosts/pi2/running": "exited"`)
	entries, err := evidence.Read(ledger)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for n, verdict := range []evidence.Verdict{evidence.Green, evidence.Red} {
		assert.Equal(t, "parity_assert", entries[n].What)
		assert.Equal(t, verdict, entries[n].Verdict)
		assert.Equal(t, "embedded", entries[n].Distribution, "as it was measured")
		assert.Len(t, entries[n].Deviations, 1)
	}
	l.On(t, l.postgresql, "docker", "compose", "--project-directory", "/opt/arcodange/postgres", "start")
	edited(t, l, `s|"pg_isready".*|"false"]|; s|retries: .*|retries: 1|`)
	require.ErrorContains(t, l.Play(t, asks[0], asks[1:4]...), `+    "outside/postgresql/hosts/pi2/running": "running, and its health is unhealthy"`)
}

// nodes takes a node away in steps. Its agent is stopped first, so that nobody
// puts back what is changed.
func nodes(t *testing.T, l *lab) {
	const node = "pi3"
	path := "/api/v1/nodes/" + node
	status := func(t *testing.T, info object) {
		require.NoError(t, l.do(http.MethodPatch, path+"/status", "application/merge-patch+json", object{"status": object{"nodeInfo": info}}, nil))
	}
	var before struct {
		Status struct {
			NodeInfo struct{ KubeletVersion, Architecture string }
		}
	}
	require.NoError(t, l.do(http.MethodGet, path, "", nil, &before))
	l.On(t, node, "systemctl", "stop", "k3s-agent")
	t.Cleanup(func() {
		l.On(t, node, "systemctl", "start", "k3s-agent")
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			r := l.judge(t, judgement{})
			assert.Equal(t, "green", r.Verdict, r.texts())
		}, 3*soon, time.Second)
	})
	t.Run("of another version", func(t *testing.T) {
		status(t, object{"kubeletVersion": "v1.33.6+k3s1"})
		r := l.red(t, judgement{}, "nodes/pi3/version")
		assert.Contains(t, r.texts(), "expected v1.34.3+k3s1, found v1.33.6+k3s1")
		status(t, object{"kubeletVersion": before.Status.NodeInfo.KubeletVersion})
	})
	t.Run("of another version of the embedded distribution", func(t *testing.T) {
		status(t, object{"kubeletVersion": "v1.33.6+k3s1.embedded"})
		r := l.judge(t, judgement{})
		assert.Equal(t, []string{"nodes/pi3/version"}, r.paths())
		assert.Len(t, r.Deviations, 2, "and it is told of as a deviation")
		status(t, object{"kubeletVersion": before.Status.NodeInfo.KubeletVersion})
	})
	t.Run("of another architecture", func(t *testing.T) {
		status(t, object{"architecture": "riscv64"})
		l.red(t, judgement{}, "nodes/pi3/architecture")
		status(t, object{"architecture": before.Status.NodeInfo.Architecture})
	})
	t.Run("that nobody hears of", func(t *testing.T) {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			r := l.judge(t, judgement{})
			assert.Equal(t, []string{"nodes/pi3/ready"}, r.paths())
			assert.Contains(t, r.texts(), "Kubelet stopped posting node status")
		}, 3*soon, time.Second)
	})
	t.Run("gone", func(t *testing.T) {
		require.NoError(t, l.do(http.MethodDelete, path, "", nil, nil))
		r := l.red(t, judgement{}, "nodes/pi3")
		assert.Contains(t, r.texts(), "expected agent, found absent")
	})
}
