// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package capture

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/gate/parity/capture"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

// lab is the repositories of testdata/lab.txtar, to be changed before they are committed.
type lab map[string]string

func readLab(t *testing.T) lab {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/lab.txtar")
	require.NoError(t, err)
	l := lab{}
	for _, f := range archive.Files {
		l[f.Name] = string(f.Data)
	}
	return l
}

// replace changes a text in a file, which must be there.
func (l lab) replace(t *testing.T, name, from, to string) {
	t.Helper()
	require.Contains(t, l[name], from)
	l[name] = strings.Replace(l[name], from, to, 1)
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(tree.GitEnv(os.Environ()), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

// commit makes real repositories out of a lab.
func (l lab) commit(t *testing.T) (dir string, repositories []capture.Repository) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range l {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	for _, name := range []string{"erp", "factory", "tools"} {
		top := filepath.Join(dir, name)
		gitIn(t, top, "init", "--quiet", "--initial-branch=main")
		gitIn(t, top, "add", ".")
		gitIn(t, top, "commit", "--quiet", "-m", "All of it")
		repositories = append(repositories, capture.Repository{Name: name, Path: top})
	}
	return dir, repositories
}

// recorded answers for ansible-inventory with what it really said of the lab
// once; everything else is run.
type recorded struct{ inventory []byte }

func (r recorded) Run(ctx context.Context, c run.Cmd) (run.Result, error) {
	if filepath.Base(c.Name) == "ansible-inventory" {
		return run.Result{Stdout: r.inventory}, nil
	}
	return run.Exec{}.Run(ctx, c)
}

func record(t *testing.T) recorded {
	t.Helper()
	dir, _ := readLab(t).commit(t)
	res, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: ansibletest.Program(t, "ansible-inventory"), Args: []string{"-i", filepath.Join(dir, "factory/ansible/inventory"), "--list"}, Env: append(os.Environ(), "LC_ALL=C.UTF-8")})
	require.NoError(t, err)
	return recorded{res.Stdout}
}

func options(t *testing.T, repositories []capture.Repository) capture.Options {
	t.Helper()
	return capture.Options{
		Repositories: repositories,
		Unread: []capture.Unread{
			{Path: "factory:ansible/roles/pihole/*", Reason: "It is outside of the cluster and of the manifest."},
		},
		Inventory: &capture.Inventory{
			Repository: "factory", Path: "ansible/inventory", ServerGroup: "k3s_server", AgentGroup: "k3s_agent",
			VersionVariable: "k3s_version", ArchitectureVariable: "node_architecture", Program: ansibletest.Program(t, "ansible-inventory"),
		},
		Components: []capture.Component{
			{Name: "longhorn", FoundBy: parity.FoundBy{HelmRelease: &parity.HelmRelease{Namespace: "longhorn-system", Name: "longhorn", VersionOf: parity.OfChart}}},
			{Name: "cert-manager", FoundBy: parity.FoundBy{HelmRelease: &parity.HelmRelease{Namespace: "cert-manager", Name: "cert-manager", VersionOf: parity.OfChart}}},
			{Name: "vault", FoundBy: parity.FoundBy{Image: &parity.Image{Namespace: "tools", Repository: "hashicorp/vault"}}},
			{Name: "vault-secrets-operator", Chart: "tools:vault-secrets-operator", Dependency: "vault-secrets-operator",
				FoundBy: parity.FoundBy{Image: &parity.Image{Namespace: "tools", Repository: "hashicorp/vault-secrets-operator"}}},
			{Name: "traefik", FoundBy: parity.FoundBy{Image: &parity.Image{Namespace: "kube-system", Repository: "traefik"}}},
			{Name: "redis", FoundBy: parity.FoundBy{Image: &parity.Image{Namespace: "tools", Repository: "redis"}}},
			{Name: "erp", FoundBy: parity.FoundBy{Image: &parity.Image{Namespace: "erp", Repository: "dolibarr/dolibarr"}}},
		},
		AppOfApps: []capture.AppOfApps{{
			Repository: "factory", Values: "argocd/values.yaml", List: "gitea_applications", Template: "argocd/templates/apps.yaml",
			Name: "{key}", SourceRepository: "{org|arcodange-org}/{key}", SourcePath: "chart", Revision: "{targetRevision|main}", Namespace: "{key}",
		}},
		Applications: "argocd",
		Outside: []capture.Outside{
			{Name: "postgresql", Hosts: "postgres", Repository: "factory", Compose: "ansible/roles/postgres/templates/docker-compose.yml.j2", Service: "postgres"},
			{Name: "gitea", Hosts: "gitea", Repository: "factory", Compose: "ansible/roles/gitea/files/docker-compose.yml", Service: "gitea", Project: "gitea", Images: []string{"arcodange-org/forge"}},
		},
		StorageClasses: []string{"longhorn"},
	}
}

func TestALabIsCapturedIntoTheManifestThatItIs(t *testing.T) {
	t.Parallel()
	dir, repositories := readLab(t).commit(t)
	o := options(t, repositories)
	result, err := capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	assert.Empty(t, result.Warnings)
	golden, err := os.ReadFile("testdata/parity.yml")
	require.NoError(t, err)
	text := string(result.Text)
	for _, source := range result.Sources {
		assert.Equal(t, gitIn(t, filepath.Join(dir, source.Repository), "rev-parse", "HEAD"), source.Commit)
		text = strings.ReplaceAll(text, source.Commit, "COMMIT")
	}
	assert.Equal(t, string(golden), text)
	assert.Equal(t, []string{
		"erp-sandbox/erp-scratch (erp:chart/templates/claims.yaml:19)",
		"erp/erp-scratch (erp:chart/templates/claims.yaml:19)",
		"tools/data-redis-0 (tools:redis/redis.yaml:11)",
		"tools/data-redis-1 (tools:redis/redis.yaml:11)",
	}, result.Bare)

	back, err := parity.Parse("captured.yml", result.Text)
	require.NoError(t, err)
	assert.Equal(t, result.Manifest, back)
	again, err := capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
	require.NoError(t, err)
	assert.Equal(t, string(result.Text), string(again.Text), "captured twice")
	for _, no := range []string{"192.0.2", "gitea.arcodange.lab", dir, "password"} {
		assert.NotContains(t, string(result.Text), no)
	}

	// What is not committed is told, and does not count; a bare copy and a tag give the same.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tools/hashicorp-vault/values.yaml"), []byte("vault: {}\n"), 0o644))
	bare := filepath.Join(t.TempDir(), "erp.git")
	gitIn(t, dir, "clone", "--quiet", "--bare", "erp", bare)
	gitIn(t, filepath.Join(dir, "factory"), "tag", "live")
	o.Repositories = []capture.Repository{{Name: "erp", Path: bare}, {Name: "factory", Path: filepath.Join(dir, "factory"), Ref: "live"}, repositories[2]}
	again, err = capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
	require.NoError(t, err)
	assert.Equal(t, string(result.Text), string(again.Text))
	require.Len(t, again.Warnings, 1)
	assert.Contains(t, again.Warnings[0], "the working tree of tools holds something that is not committed")
	left, err := exec.Command("git", "-C", filepath.Join(dir, "tools"), "status", "--porcelain").Output()
	require.NoError(t, err)
	assert.Equal(t, " M hashicorp-vault/values.yaml\n", string(left))
}

// found is the lab's cluster, as it is if nobody changed anything by hand.
func found() *parity.Found {
	node := func(name, role string) parity.FoundNode {
		return parity.FoundNode{Name: name, Roles: []string{role}, Architecture: "arm64", Version: "v1.34.3+k3s1", Ready: true}
	}
	app := func(org, name, path, revision string) parity.FoundApplication {
		return parity.FoundApplication{Namespace: "argocd", Name: name, Sources: []parity.Source{
			{Repository: "https://gitea.arcodange.lab/" + org + "/" + strings.TrimSuffix(name, "-sandbox"), Path: path, Revision: revision},
		}}
	}
	claim := func(namespace, name, class string) parity.FoundClaim {
		return parity.FoundClaim{Namespace: namespace, Name: name, StorageClass: class, Volume: namespace + "-" + name}
	}
	f := &parity.Found{
		Version: "v1.34.3+k3s1",
		Nodes:   []parity.FoundNode{node("pi1", "server"), node("pi2", "agent"), node("pi3", "agent")},
		Releases: []parity.FoundRelease{
			{Namespace: "longhorn-system", Name: "longhorn", Chart: "longhorn", ChartVersion: "1.10.1", AppVersion: "v1.10.1"},
			{Namespace: "cert-manager", Name: "cert-manager", Chart: "cert-manager", ChartVersion: "v1.18.2", AppVersion: "v1.18.2"},
		},
		Images: []parity.FoundImage{
			{Namespace: "tools", Workload: "StatefulSet vault", Reference: "hashicorp/vault:1.20.4"},
			{Namespace: "tools", Workload: "Deployment vso", Reference: "hashicorp/vault-secrets-operator:0.10.1"},
			{Namespace: "kube-system", Workload: "Deployment traefik", Reference: "traefik:v3.5.1"},
			{Namespace: "tools", Workload: "StatefulSet redis", Reference: "docker.io/library/redis:8.2.1"},
			{Namespace: "erp", Workload: "Deployment erp", Reference: "dolibarr/dolibarr:22.0.1"},
		},
		Applications: []parity.FoundApplication{
			app("arcodange-org", "cms", "chart", "main"), app("dance", "dance-lessons-coach", "chart", "main"), app("arcodange-org", "erp", "chart", "main"),
			app("arcodange-org", "erp-sandbox", "./chart", "HEAD"), app("arcodange-org", "plausible", "chart", "main"),
			app("arcodange-org", "telegram-gateway", "chart", "v1.4.0"), app("arcodange-org", "tools", "chart", "main"),
			app("arcodange-org", "url-shortener", "chart", "main"), app("arcodange-org", "webapp", "chart", "main"),
		},
		Claims: []parity.FoundClaim{
			claim("erp", "erp-data", "longhorn"), claim("erp", "erp-documents", "longhorn"), claim("erp", "erp-scratch", "local-path"),
			claim("erp-sandbox", "erp-data", "longhorn"), claim("erp-sandbox", "erp-documents", "longhorn"), claim("erp-sandbox", "erp-scratch", "local-path"),
			claim("tools", "data-redis-0", "longhorn"), claim("tools", "data-redis-1", "longhorn"),
		},
		Longhorn: parity.FoundLonghorn{
			Jobs: []parity.FoundJob{
				{Name: "nightly", Task: "backup", Cron: "0 2 * * *", Groups: []string{"default"}}, {Name: "offsite", Task: "backup", Cron: "0 4 * * 0"},
				{Name: "hourly", Task: "snapshot", Cron: "0 * * * *", Groups: []string{"fast"}},
			},
			Targets: []parity.FoundTarget{{Name: "default", URL: "s3://backups@region/"}},
		},
	}
	for _, c := range f.Claims {
		if c.StorageClass != "longhorn" {
			f.Volumes = append(f.Volumes, parity.FoundVolume{Name: c.Volume})
			continue
		}
		f.Volumes = append(f.Volumes, parity.FoundVolume{Name: c.Volume, Driver: "driver.longhorn.io", Handle: c.Volume})
		labels := map[string]map[string]string{
			"erp-documents": {"recurring-job.longhorn.io/offsite": "enabled"}, "data-redis-0": {"recurring-job-group.longhorn.io/fast": "enabled"},
			"data-redis-1": {"recurring-job-group.longhorn.io/fast": "enabled"},
		}[c.Name]
		f.Longhorn.Volumes = append(f.Longhorn.Volumes, parity.FoundLonghornVolume{Name: c.Volume, Labels: labels})
	}
	return f
}

func TestAClusterThatMatchesItsRepositoriesHasTheSameManifestAndNoDrift(t *testing.T) {
	t.Parallel()
	_, repositories := readLab(t).commit(t)
	o := options(t, repositories)
	alone, err := capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
	require.NoError(t, err)
	both, err := capture.Capturer{Runner: run.Exec{}, Live: found()}.Capture(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, both.Problems)
	assert.Equal(t, alone.Manifest, both.Manifest)
	assert.Contains(t, string(both.Text), "#   the cluster\n")

	// And the cluster alone: all but what stands outside of it.
	o.Repositories, o.Unread, o.AppOfApps, o.Outside, o.Inventory = nil, nil, nil, nil, nil
	for i := range o.Components {
		o.Components[i].Chart, o.Components[i].Dependency = "", ""
	}
	cluster, err := capture.Capturer{Runner: run.Exec{}, Live: found()}.Capture(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, cluster.Problems)
	drifts, _ := parity.Compare(cluster.Manifest, *found())
	assert.Empty(t, drifts, "what was captured is what it was captured from")
	both.Manifest.Outside = cluster.Manifest.Outside
	assert.Equal(t, both.Manifest, cluster.Manifest)
}

func TestADifferenceOfClusterAndRepositoriesFailsUnlessOneIsPreferred(t *testing.T) {
	t.Parallel()
	_, repositories := readLab(t).commit(t)
	runner := record(t)
	for name, c := range map[string]struct {
		change    func(f *parity.Found)
		says      string
		preferred string // what the manifest has if the cluster is preferred
	}{
		"a component of another version": {func(f *parity.Found) { f.Releases[0].ChartVersion = "1.10.0" },
			"conflict: factory:ansible/playbooks/longhorn.yml:19: the version of longhorn is 1.10.1 here and 1.10.0 in the cluster", "version: 1.10.0"},
		"an image of another tag": {func(f *parity.Found) { f.Images[0].Reference = "hashicorp/vault:1.20.5" },
			"the version of vault is 1.20.4 here and 1.20.5 in the cluster", "version: 1.20.5"},
		"another Kubernetes": {func(f *parity.Found) { f.Version = "v1.34.4+k3s1" },
			"the version of Kubernetes is v1.34.3+k3s1 here and v1.34.4+k3s1 in the cluster", "version: v1.34.4+k3s1"},
		"a node that the inventory has not": {func(f *parity.Found) {
			f.Nodes = append(f.Nodes, parity.FoundNode{Name: "pi4", Roles: []string{"agent"}, Architecture: "arm64", Ready: true})
		}, "pi4 is absent here and a node in the cluster", "name: pi4"},
		"a node of another role": {func(f *parity.Found) { f.Nodes[1].Roles = []string{"server"} },
			"the roles of pi2 is agent here and server in the cluster", "name: pi2, roles: [server]"},
		"a node of another architecture": {func(f *parity.Found) { f.Nodes[1].Architecture = "amd64" },
			"the architecture of pi2 is arm64 here and amd64 in the cluster", "architecture: amd64"},
		"an application made by hand": {func(f *parity.Found) {
			f.Applications = append(f.Applications, parity.FoundApplication{Namespace: "argocd", Name: "hand", Sources: []parity.Source{{Repository: "https://forge.example/me/hand", Path: "k8s"}}})
		}, "the Application hand is absent here and me/hand k8s at head in the cluster", "name: hand"},
		"an application that is gone": {func(f *parity.Found) { f.Applications = f.Applications[1:] },
			"the Application cms is arcodange-org/cms chart at branch here and absent in the cluster", ""},
		"an application at a commit": {func(f *parity.Found) {
			f.Applications[0].Sources[0].Revision = strings.Repeat("a", 40)
		}, "at commit in the cluster", "arcodange-org/cms, path: chart, revision: commit"},
		"a claim that is in no backup any more": {func(f *parity.Found) {
			f.Longhorn.Volumes[0].Labels = map[string]string{"recurring-job-group.longhorn.io/fast": "enabled"}
		},
			"the claim erp/erp-data is backed up here and not backed up in the cluster", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := found()
			c.change(live)
			o := options(t, repositories)
			result, err := capture.Capturer{Runner: runner, Live: live}.Capture(t.Context(), o)
			require.NoError(t, err)
			require.Len(t, result.Problems, 1)
			assert.Contains(t, result.Problems[0].String(), c.says)
			assert.Nil(t, result.Text)
			o.Prefer = capture.Repositories
			result, err = capture.Capturer{Runner: runner, Live: live}.Capture(t.Context(), o)
			require.NoError(t, err)
			require.Empty(t, result.Problems)
			require.Len(t, result.Warnings, 1)
			assert.Contains(t, result.Warnings[0], "prefer selects the repositories")
			o.Prefer = capture.Cluster
			result, err = capture.Capturer{Runner: runner, Live: live}.Capture(t.Context(), o)
			require.NoError(t, err)
			require.Empty(t, result.Problems)
			assert.Contains(t, string(result.Text), c.preferred)
			live.Hosts = nil
			result.Manifest.Outside = nil
			drifts, _ := parity.Compare(result.Manifest, *live)
			for _, d := range drifts {
				assert.Contains(t, d.Path, "/version", "only the kubelets, which were not changed with the API server: %s", d)
			}
		})
	}
}

func TestUnreadableOrContradictorySourcesGiveNoManifest(t *testing.T) {
	t.Parallel()
	const longhorn, values, apps = "factory/ansible/playbooks/longhorn.yml", "factory/argocd/values.yaml", "factory/argocd/templates/apps.yaml"
	const project, claims, jobs = "factory/manifests/project.yaml", "erp/chart/templates/claims.yaml", "factory/manifests/longhorn-jobs.yaml"
	const compose = "factory/ansible/roles/postgres/templates/docker-compose.yml.j2"
	runner := record(t)
	for name, c := range map[string]struct {
		change func(t *testing.T, l lab, o *capture.Options)
		says   string
	}{
		"a template with statements that is not listed": {func(_ *testing.T, _ lab, o *capture.Options) { o.Unread = nil },
			"unread: factory:ansible/roles/pihole/templates/pihole.yml.j2: it is a template with statements ({% %})"},
		"a file that is no YAML": {func(_ *testing.T, l lab, _ *capture.Options) { l["tools/broken.yaml"] = "a: [b\n" }, "unread: tools:broken.yaml: it is not YAML"},
		"a vaulted file": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/secret.yml"] = "$ANSIBLE_VAULT;1.1;AES256\n6162\n"
		},
			"unread: tools:secret.yml: line 1 is a text and no manifest"},
		"a pointer to a large file": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/large.json"] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
		}, "unread: tools:large.json:"},
		"a key that stands twice": {func(_ *testing.T, l lab, _ *capture.Options) { l["tools/twice.yaml"] = "a: 1\na: 2\n" },
			"unread: tools:twice.yaml: line 2 has a key for the second time"},
		"a version from an unset variable": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, longhorn, "{{ longhorn_version }}\n            t", "{{ longhorn_next }}\n            t")
		},
			"unread: factory:ansible/playbooks/longhorn.yml: HelmChart longhorn: line 19: version is left to a template"},
		"a version that is a range": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, longhorn, "{{ longhorn_version }}\n            t", "^1.10.0\n            t")
		}, "the version ^1.10.0 is a range"},
		"a version that is not pinned": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, longhorn, "version: {{ longhorn_version }}\n            t", "t")
		}, "missing: component longhorn: no repository has its version: no HelmChart pins the release longhorn-system/longhorn"},
		"a kind that is a variable": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/kind.yaml"] = "apiVersion: v1\nkind: \"{{ kind }}\"\n"
		},
			"unread: tools:kind.yaml: line 1: what kind of object it is, is left to a template"},
		"a chart's template that decides what stands there": {func(t *testing.T, l lab, _ *capture.Options) {
			l[claims] = "{{- if .Values.persistence }}\n" + l[claims] + "{{- end }}\n"
		}, "unread: erp:chart/templates/claims.yaml: it is a template with statements ({{ if }})"},
		"a claim with a name by a template": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, claims, "name: erp-data", "name: {{ .Release.Name }}-data")
		}, "unread: erp:chart/templates/claims.yaml: PersistentVolumeClaim (line 1): line 4: its name is left to a template"},
		"a claim of which no Application says where it goes": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/loose.yaml"] = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: loose}\nspec: {storageClassName: longhorn}\n"
		}, "unread: tools:loose.yaml: the claim loose has no namespace"},
		"an app-of-apps that goes through another list": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, apps, ".Values.gitea_applications", ".Values.apps")
		},
			"unknown: factory:argocd/values.yaml: factory:argocd/templates/apps.yaml does not iterate over .Values.gitea_applications"},
		"an app-of-apps that goes through two lists": {func(t *testing.T, l lab, _ *capture.Options) { l[apps] += "{{- range .Values.more }}{{- end }}\n" },
			"iterates over more than one list"},
		"an app-of-apps without its list": {func(_ *testing.T, l lab, _ *capture.Options) { l[values] = "applications: {}\n" }, "there is no list gitea_applications"},
		"an app-of-apps that is empty":    {func(_ *testing.T, l lab, _ *capture.Options) { l[values] = "gitea_applications: {}\n" }, "the list gitea_applications is empty"},
		"a field that an entry has not": {func(_ *testing.T, _ lab, o *capture.Options) { o.AppOfApps[0].Revision = "{targetRevision}" },
			"it has no field targetRevision; write {targetRevision|what counts then}"},
		"an Application twice": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/app.yaml"] = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cms, namespace: argocd}\nspec: {source: {repoURL: https://forge.example/other/cms, path: k8s}}\n"
		}, "the Application cms is arcodange-org/cms chart at branch here and other/cms k8s at head in tools:app.yaml:1"},
		"an Application of another namespace": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/app.yaml"] = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x, namespace: other}\nspec: {source: {repoURL: https://forge.example/a/x, path: k8s}}\n"
		}, "the Application x is of the namespace other, not of argocd"},
		"an Application of a forge without a name": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/app.yaml"] = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x, namespace: argocd}\nspec: {source: {repoURL: https://192.0.2.7/x, path: k8s}}\n"
		}, "address: application x: its repository is named by an address"},
		"an ApplicationSet that finds its Applications when it runs": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, project, "    - list:\n        elements:\n          - {app: erp, env: sandbox}", "    - git: {repoURL: https://forge.example/a/b, directories: [{path: '*'}]}")
		}, "unread: factory:manifests/project.yaml: ApplicationSet siblings: line 17: only a generator with a list"},
		"an ApplicationSet with a patch": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, project, "  goTemplate: true", "  templatePatch: 'spec: {}'")
		}, "the result of its templatePatch is not known"},
		"an ApplicationSet with an undefined variable": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, project, "name: \"{{.app}}-{{.env}}\"", "name: \"{{.app}}-{{.stage}}\"")
		}, "the name of its Applications is left to a template"},
		"two charts that set an image differently": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["tools/hashicorp-vault/values-next.yaml"] = "vault: {server: {image: {repository: hashicorp/vault, tag: 1.21.0}}}\n"
		}, "conflict: tools:hashicorp-vault/values-next.yaml:1: the version of vault is 1.21.0 here and 1.20.4 in tools:hashicorp-vault/values.yaml:5"},
		"a dependency that the lock does not fit": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, "tools/vault-secrets-operator/Chart.yaml", "^0.10.0", "0.10.2")
		}, "conflict: tools:vault-secrets-operator/Chart.yaml: the dependency vault-secrets-operator has version 0.10.2 here and 0.10.1 in Chart.lock"},
		"a dependency of a range without a lock": {func(_ *testing.T, l lab, _ *capture.Options) { delete(l, "tools/vault-secrets-operator/Chart.lock") },
			"the version of the dependency vault-secrets-operator is a range"},
		"an API group without a cluster": {func(_ *testing.T, _ lab, o *capture.Options) {
			o.Components = append(o.Components, capture.Component{Name: "x", FoundBy: parity.FoundBy{APIGroup: "x.example"}})
		}, "missing: component x: no repository has its version: the versions of x.example are only known from a cluster"},
		"a compose file with statements": {func(_ *testing.T, l lab, _ *capture.Options) { l[compose] += "{% if x %}{% endif %}\n" },
			"unknown: " + strings.Replace(compose, "/", ":", 1) + ": it is a template with statements"},
		"an image of compose by a lookup": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, compose, "{{ postgres_image }}", "{{ postgres_image | lower }}")
		},
			"the image of postgres is left to a template"},
		"an image of compose without a tag": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, compose, "{{ postgres_image }}", "postgres")
		},
			"the image of postgres has no tag that is a version"},
		"a service that is not there":       {func(_ *testing.T, _ lab, o *capture.Options) { o.Outside[0].Service = "db" }, "it has no service db"},
		"a group without a host":            {func(_ *testing.T, _ lab, o *capture.Options) { o.Outside[0].Hosts = "nobody" }, "the group nobody of postgresql has no host"},
		"a group of servers without a host": {func(_ *testing.T, _ lab, o *capture.Options) { o.Inventory.ServerGroup = "nobody" }, "the group nobody has no host"},
		"an unset version of Kubernetes": {func(_ *testing.T, _ lab, o *capture.Options) { o.Inventory.VersionVariable = "rke_version" },
			"the node pi1 has no variable rke_version that is a text"},
		"a version of Kubernetes that is none": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, "factory/ansible/inventory/group_vars/all/k3s.yml", "v{{ k3s_release }}+k3s1", "stable")
		}, `"stable" is not a version of Kubernetes`},
		"nodes of two versions": {func(_ *testing.T, l lab, _ *capture.Options) {
			l["factory/ansible/inventory/host_vars/pi3.yml"] = "k3s_version: v1.33.0+k3s1\n"
		}, "the nodes have different versions of Kubernetes: v1.33.0+k3s1, v1.34.3+k3s1"},
		"an unset architecture": {func(_ *testing.T, _ lab, o *capture.Options) { o.Inventory.ArchitectureVariable = "" }, "no source has the architecture of pi1"},
		"a recurring job by a template": {func(t *testing.T, l lab, _ *capture.Options) {
			l.replace(t, jobs, "task: backup,", "task: \"{{ task }}\",")
		},
			"RecurringJob nightly: line 4: its task is left to a template"},
		"no inventory at all": {func(_ *testing.T, _ lab, o *capture.Options) { o.Inventory = nil; o.Outside = nil },
			"missing: kubernetes: no source has the version of Kubernetes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := maps.Clone(readLab(t))
			o := options(t, nil)
			c.change(t, l, &o)
			_, o.Repositories = l.commit(t)
			var with run.Runner = runner
			for name, text := range l {
				if strings.HasPrefix(name, "factory/ansible/inventory/") && text != readLab(t)[name] {
					with = run.Exec{} // it is about the inventory
				}
			}
			result, err := capture.Capturer{Runner: with}.Capture(t.Context(), o)
			require.NoError(t, err)
			assert.Nil(t, result.Manifest)
			assert.Nil(t, result.Text)
			var all []string
			for _, p := range result.Problems {
				all = append(all, p.String())
			}
			assert.Contains(t, strings.Join(all, "\n"), c.says)
		})
	}
}

func TestWhatCannotBeOpenedIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string, o *capture.Options)
		says   string
	}{
		"a folder that is no repository": {func(t *testing.T, dir string, o *capture.Options) {
			o.Repositories[0].Path = dir
		}, "reading the repository erp: "},
		"a folder inside of a repository": {func(_ *testing.T, dir string, o *capture.Options) {
			o.Repositories[0].Path = filepath.Join(dir, "erp/chart")
		}, "reading the repository erp: "},
		"a ref that is not there": {func(_ *testing.T, _ string, o *capture.Options) { o.Repositories[0].Ref = "nowhere" }, "fetch it first, nothing is fetched here"},
		"a ref that is an option": {func(_ *testing.T, _ string, o *capture.Options) { o.Repositories[0].Ref = "--all" }, "is not the name of a branch, tag or commit"},
		"a ref that is a branch and a tag": {func(t *testing.T, dir string, o *capture.Options) {
			gitIn(t, filepath.Join(dir, "erp"), "tag", "main")
			o.Repositories[0].Ref = "main"
		}, "names a branch and a tag"},
		"a folder to read that is not there":      {func(_ *testing.T, _ string, o *capture.Options) { o.Repositories[0].Read = []string{"charts"} }, `"charts" in read is not there`},
		"a folder to read outside":                {func(_ *testing.T, _ string, o *capture.Options) { o.Repositories[0].Read = []string{"../tools"} }, "is outside of the repository"},
		"two repositories of one name":            {func(_ *testing.T, _ string, o *capture.Options) { o.Repositories[0].Name = "tools" }, "two repositories are named tools"},
		"an app-of-apps of an unknown repository": {func(_ *testing.T, _ string, o *capture.Options) { o.AppOfApps[0].Repository = "x" }, `"x" is none of the repositories`},
		"an inventory that is a program": {func(t *testing.T, dir string, o *capture.Options) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "factory/ansible/inventory/hosts.yml"), 0o755))
			gitIn(t, filepath.Join(dir, "factory"), "commit", "-qam", "Make it a program")
		}, "an inventory is made of files of data"},
		"an inventory on this machine that is a program": {func(t *testing.T, dir string, o *capture.Options) {
			script := filepath.Join(dir, "hosts.sh")
			require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\ntouch "+filepath.Join(dir, "ran")+"\n"), 0o755))
			o.Inventory.Repository, o.Inventory.Path = "", script
		}, "so that it is an inventory that a program makes"},
		"an inventory of a plugin": {func(t *testing.T, dir string, o *capture.Options) {
			file := filepath.Join(dir, "hosts.yml")
			require.NoError(t, os.WriteFile(file, []byte("plugin: ansible.builtin.generator\nhosts: {name: x}\nlayers: {}\n"), 0o644))
			o.Inventory.Repository, o.Inventory.Path = "", file
		}, "--list` failed; run it by hand"},
		"an inventory that is not there": {func(_ *testing.T, _ string, o *capture.Options) { o.Inventory.Path = "nowhere" }, "factory:nowhere is not there"},
		"a vault that is closed": {func(t *testing.T, dir string, o *capture.Options) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "factory/ansible/inventory/group_vars/all/vault.yml"), []byte("$ANSIBLE_VAULT;1.1;AES256\n6162\n"), 0o644))
			gitIn(t, filepath.Join(dir, "factory"), "add", ".")
			gitIn(t, filepath.Join(dir, "factory"), "commit", "-qm", "Close it")
		}, "a vaulted file needs vault_password_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, repositories := readLab(t).commit(t)
			o := options(t, repositories)
			c.change(t, dir, &o)
			_, err := capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
			require.ErrorContains(t, err, c.says)
			assert.NotContains(t, err.Error(), "\n")
			assert.NoFileExists(t, filepath.Join(dir, "ran"))
		})
	}
}

func TestAnUnneededEntryOfUnreadIsAWarning(t *testing.T) {
	t.Parallel()
	_, repositories := readLab(t).commit(t)
	o := options(t, repositories)
	o.Unread = append(o.Unread, capture.Unread{Path: "tools:old/*", Reason: "It was there once."})
	result, err := capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
	require.NoError(t, err)
	assert.Equal(t, []string{"the entry tools:old/* of unread was not needed: remove it"}, result.Warnings)
}

func TestAPartialCloneIsNotFilledUp(t *testing.T) {
	t.Parallel()
	dir, repositories := readLab(t).commit(t)
	gitIn(t, filepath.Join(dir, "erp"), "config", "uploadpack.allowFilter", "true")
	part := filepath.Join(t.TempDir(), "erp.git")
	gitIn(t, dir, "clone", "--quiet", "--bare", "--filter=blob:none", "file://"+filepath.Join(dir, "erp"), part)
	o := options(t, repositories)
	o.Repositories[0].Path = part
	_, err := capture.Capturer{Runner: run.Exec{}}.Capture(t.Context(), o)
	require.ErrorContains(t, err, "reading the repository erp")
	missing := gitIn(t, part, "rev-list", "--objects", "--all", "--missing=print")
	assert.True(t, bytes.Contains([]byte(missing), []byte("\n?")), "nothing was fetched")
}
