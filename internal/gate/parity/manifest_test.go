// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const lab = `
kubernetes: {distribution: k3s, version: v1.34.3+k3s1}
nodes:
  - {name: pi2, roles: [agent], architecture: arm64}
  - {name: pi1, roles: [server, etcd], architecture: arm64}
components:
  - {name: vault, version: "1.19", found_by: {image: {namespace: tools, repository: hashicorp/vault}}}
  - {name: longhorn, version: v1.10.1, found_by: {helm_release: {namespace: longhorn-system, name: longhorn, version_of: app}}}
  - {name: traefik, version: 37.1.1, found_by: {helm_release: {namespace: kube-system, name: traefik}}}
  - {name: cert-manager, version: v1, found_by: {api_group: cert-manager.io}}
applications:
  namespace: argocd
  items:
    - {name: tools, repository: arcodange-org/tools, path: chart, revision: branch}
    - {name: erp, repository: arcodange-org/erp, path: chart, revision: main}
    - name: plausible
      sources:
        - {repository: charts.example.org/stable, chart: plausible, revision: 1.2.3}
        - {repository: arcodange-org/values, revision: head}
outside:
  - {name: postgresql, hosts: postgres, version: "16.3", compose: {project: postgres, service: postgres, image: postgres}}
backups:
  - {namespace: erp, claim: erp-data}
  - {storage_class: longhorn}
`

func TestAManifestIsWrittenInOneOrderAndReadBackAsItIs(t *testing.T) {
	t.Parallel()
	m, err := Parse("lab.yml", []byte(lab))
	require.NoError(t, err)
	first, err := Marshal(m)
	require.NoError(t, err)
	back, err := Parse("again.yml", first)
	require.NoError(t, err)
	assert.Equal(t, m, back)
	back.Nodes[0], back.Nodes[1] = back.Nodes[1], back.Nodes[0]
	back.Backups[0], back.Backups[1] = back.Backups[1], back.Backups[0]
	second, err := Marshal(back)
	require.NoError(t, err)
	assert.Equal(t, string(first), string(second))
	assert.Contains(t, string(first), `version: "1.19"`)

	m.Backups[0].MayBeEmpty, m.Outside[0].Images = true, []string{"lab/database", "a/b"}
	text, err := Marshal(m)
	require.NoError(t, err)
	assert.Contains(t, string(text), "{storage_class: longhorn, may_be_empty: true}")
	assert.Contains(t, string(text), "images: [a/b, lab/database]")
	assert.Equal(t, []string{"lab/database", "a/b"}, m.Outside[0].Images, "what is written stays as it was")
	m.Sort()
	back, err = Parse("again.yml", text)
	require.NoError(t, err)
	assert.Equal(t, m, back)
	t.Log(string(first))
}

func TestAManifestThatIsNotUnderstoodIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, says string }{
		"an unknown key":                         {"    - {name: erp,", "    - {named: erp,", `lab.yml:15:8: unknown key "named"`},
		"an unknown section":                     {"outside:", "beside:", `lab.yml:20:1: unknown key "beside"`},
		"a section that is missing":              {"\nbackups:\n  - {namespace: erp, claim: erp-data}\n  - {storage_class: longhorn}", "", `lab.yml:2:1: the key "backups" is missing`},
		"a key for the second time":              {"namespace: argocd", "namespace: argocd\n  namespace: argo", `lab.yml:13:3: the key "namespace" is listed twice`},
		"a version that YAML takes for a number": {`version: "1.19"`, `version: 1.19`, `lab.yml:7:28: a version is needed here as a string; put it in quotes`},
		"two nodes of one name":                  {"name: pi2", "name: pi1", `lab.yml:5:5: the node pi1 is listed twice`},
		"a node of both roles":                   {"[agent]", "[agent, server]", `lab.yml:4:24: a node is either server or agent`},
		"a node without a role":                  {"[agent]", "[]", `lab.yml:4:24: not a list`},
		"no nodes":                               {"nodes:\n  - {name: pi2, roles: [agent], architecture: arm64}\n  - {name: pi1, roles: [server, etcd], architecture: arm64}", "nodes: []", `lab.yml:3:8: this list is empty`},
		"nothing where a list belongs":           {"backups:\n  - {namespace: erp, claim: erp-data}\n  - {storage_class: longhorn}", "backups:", `lab.yml:22:9: not a list; write [] for none`},
		"two ways to find a component":           {"{api_group: cert-manager.io}", "{api_group: cert-manager.io, image: {repository: x}}", `lab.yml:10:49: one of helm_release, image and api_group is needed here`},
		"no way to find a component":             {"{api_group: cert-manager.io}", "{}", `one of helm_release, image and api_group is needed here`},
		"a version of another distribution":      {"distribution: k3s", "distribution: embedded", `lab.yml:2:13: the version v1.34.3+k3s1 is one of the distribution k3s, not embedded`},
		"a name that would be two segments":      {"name: vault", "name: vault/vault", `lab.yml:7:12: "vault/vault" is not a name`},
		"a repository with its scheme":           {"repository: arcodange-org/erp", "repository: https://forge.example/arcodange-org/erp", `is not the name of a repository`},
		"an application without a revision":      {"path: chart, revision: main", "path: chart", `lab.yml:15:7: the application erp needs repository and revision, or sources`},
		"an application with both":               {"    - name: plausible\n", "    - name: plausible\n      path: chart\n", `the application plausible has sources, so`},
		"no more images":                         {`version: "16.3"`, `version: "16.3", images: []`, `lab.yml:21:66: not a list; leave the key out for none`},
		"an image twice":                         {`version: "16.3"`, `version: "16.3", images: [a/b, a/b]`, `lab.yml:21:72: the image a/b is listed twice`},
		"an image with its tag":                  {`version: "16.3"`, `version: "16.3", images: ["a/b:1"]`, `is not the name of a repository`},
		"a backup of half a claim":               {"{namespace: erp, claim: erp-data}", "{claim: erp-data}", `lab.yml:23:5: either namespace and claim are needed here, or storage_class`},
		"a backup of a claim and a class":        {"{storage_class: longhorn}", "{storage_class: longhorn, claim: x}", `either namespace and claim are needed here, or storage_class`},
		"a claim that may be none":               {"{namespace: erp, claim: erp-data}", "{namespace: erp, claim: erp-data, may_be_empty: true}", `lab.yml:23:5: may_be_empty is for a storage_class`},
		"a class that must not be empty":         {"{storage_class: longhorn}", "{storage_class: longhorn, may_be_empty: false}", `lab.yml:24:45: must be true`},
		"a backup of nothing":                    {"{storage_class: longhorn}", "{}", `either namespace and claim are needed here, or storage_class`},
		"an alias":                               {"[agent], architecture: arm64}\n  - {name: pi1, roles: [server, etcd]", "&r [agent], architecture: arm64}\n  - {name: pi1, roles: *r", `lab.yml:5:24: not a list`},
		"a second document":                      {"backups:", "---\nbackups:", `lab.yml:22:1: a second YAML document begins here`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, lab, c.from)
			_, err := Parse("lab.yml", []byte(strings.Replace(lab, c.from, c.to, 1)))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.says)
		})
	}
	_, err := Parse("lab.yml", nil)
	require.ErrorContains(t, err, "lab.yml:1:1: it is empty")
	_, err = Load("/nowhere/lab.yml")
	require.ErrorContains(t, err, "reading the parity manifest")
}

// FuzzParse holds the reader and the writer to each other: what is read can be
// written, and is the same when it is read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(lab))
	f.Add([]byte(strings.Replace(lab, "{storage_class: longhorn}", "{storage_class: longhorn, may_be_empty: true}", 1)))
	f.Add([]byte(strings.Replace(lab, `version: "16.3"`, `version: "16.3", images: [b/c, a]`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("f.yml", data)
		if err != nil {
			return
		}
		out, err := Marshal(m)
		require.NoError(t, err)
		back, err := Parse("f.yml", out)
		require.NoError(t, err)
		assert.Equal(t, m, back)
		again, err := Marshal(back)
		require.NoError(t, err)
		assert.Equal(t, string(out), string(again))
	})
}

func TestNamesOfRepositoriesImagesAndRevisionsAreReadAsMeant(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://gitea.example/arcodange-org/erp.git":     "arcodange-org/erp",
		"https://u:p@gitea.example/Arcodange-Org/erp/":    "arcodange-org/erp",
		"git@gitea.example:arcodange-org/erp.git":         "arcodange-org/erp",
		"ssh://git@gitea.example:2222/arcodange-org/erp":  "arcodange-org/erp",
		"http://gitea.svc.cluster.local:3000/a/group/erp": "group/erp",
	} {
		assert.Equal(t, want, RepositoryOf(url, false), url)
	}
	assert.Equal(t, "charts.longhorn.io", RepositoryOf("https://charts.longhorn.io/", true))
	for reference, want := range map[string][2]string{
		"postgres":                                {"postgres", "latest"},
		"docker.io/library/postgres:16.3":         {"docker.io/library/postgres", "16.3"},
		"registry.example:5000/postgres":          {"registry.example:5000/postgres", "latest"},
		"registry.example:5000/p:1@sha256:abcdef": {"registry.example:5000/p", "1"},
		"hashicorp/vault@sha256:abcdef":           {"hashicorp/vault", "sha256:abcdef"},
	} {
		repository, tag := SplitImage(reference)
		assert.Equal(t, want, [2]string{repository, tag}, reference)
	}
	for revision, want := range map[string]string{
		"": "head", "HEAD": "head", "main": "branch", "sandbox/erp": "branch", "v1.2.3": "tag", "1.2": "tag", "1.2.3-rc.1": "tag",
		"refs/tags/x": "tag", "refs/heads/v1": "branch", "0123456789abcdef0123456789abcdef01234567": "commit",
	} {
		assert.Equal(t, want, Policy(revision), revision)
	}
	assert.True(t, SameRepository("docker.io/library/postgres", "postgres"))
	assert.False(t, SameRepository("prom/postgres-exporter", "postgres"))
	assert.False(t, SameRepository("bitnami/xpostgres", "postgres"))
	for version, want := range map[string]Distribution{"v1.34.3+k3s1": k3s, "v1.34.3+embedded": embedded, "v1.34.3+k3s1.embedded": embedded, "v1.34.3": other, "v1.34.3+rke2r1": other} {
		assert.Equal(t, want, DistributionOf(version), version)
	}
}
