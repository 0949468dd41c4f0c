// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// argocd reads the manifests of a file, or of all YAML and JSON files of a tree.
func (r Reader) argocd(path string) []Finding {
	files, err := filesIn(path, ".yaml", ".yml", ".json")
	if err != nil {
		return []Finding{problem("ArgoCD manifests", path, "they cannot be read (%s)", reason(err))}
	}
	if len(files) == 0 {
		return []Finding{problem("ArgoCD manifests", path, "there is none")}
	}
	var found []Finding
	for _, file := range files {
		data, err := read(file)
		var docs []*yaml.Node
		if err == nil {
			docs, err = documents(data)
		}
		if err != nil {
			found = append(found, problem("ArgoCD manifest", file, "it cannot be read (%s)", reason(err)))
			continue
		}
		for _, doc := range docs {
			found = append(found, manifest(file, doc)...)
		}
	}
	return found
}

func manifest(file string, doc *yaml.Node) []Finding {
	a := argo{file: file}
	kind := get(doc, "kind").Value
	if strings.HasSuffix(kind, "List") {
		for _, item := range items(get(doc, "items")) {
			a.found = append(a.found, manifest(file, item)...)
		}
		return a.found
	}
	ours := strings.HasPrefix(get(doc, "apiVersion").Value, "argoproj.io/")
	switch {
	case ours && kind == "Application":
		a.application(get(doc, "spec"))
	case ours && kind == "ApplicationSet":
		a.generators(get(doc, "spec", "generators"))
		a.application(get(doc, "spec", "template", "spec"))
		if patch := get(doc, "spec", "templatePatch"); is(patch) {
			a.problem("templatePatch", patch, "it is a template, whose result is unknown")
		}
	case ours && kind == "AppProject":
		for _, repo := range items(get(doc, "spec", "sourceRepos")) {
			a.repository(repo, false)
		}
		for _, destination := range items(get(doc, "spec", "destinations")) {
			a.destination(destination)
		}
	case kind == "Secret" && strings.HasPrefix(get(doc, "metadata", "labels", "argocd.argoproj.io/secret-type").Value, "repo"):
		a.repository(a.secret(doc, "url"), false)
		for _, key := range []string{"proxy", "githubAppEnterpriseBaseUrl"} {
			if n := a.secret(doc, key); n.Value != "" {
				a.found = append(a.found, target(boundary.Endpoint, n.Value, at(file, n.Line)))
			}
		}
	case kind == "Secret" && get(doc, "metadata", "labels", "argocd.argoproj.io/secret-type").Value == "cluster":
		a.cluster(a.secret(doc, "server"), a.secret(doc, "config"))
	}
	return a.found
}

type argo struct {
	file  string
	found []Finding
}

func (a *argo) problem(what string, n *yaml.Node, why string) {
	a.found = append(a.found, problem(what, at(a.file, n.Line), "%s", why))
}

func (a *argo) application(spec *yaml.Node) {
	if spec.Kind != yaml.MappingNode {
		a.problem("spec", spec, "it is missing, so its target is unknown")
		return
	}
	a.destination(get(spec, "destination"))
	sources := items(get(spec, "sources"))
	if source := get(spec, "source"); is(source) {
		sources = append(sources, source)
	}
	if hydrate := get(spec, "sourceHydrator", "drySource"); is(hydrate) {
		sources = append(sources, hydrate)
	}
	if len(sources) == 0 {
		a.problem("source", spec, "it is missing, so its target is unknown")
	}
	for _, source := range sources {
		a.repository(get(source, "repoURL"), is(get(source, "chart")))
		a.values(source)
	}
}

// destination is a cluster by its URL or by its name. The cluster that ArgoCD itself runs in is not external.
func (a *argo) destination(n *yaml.Node) {
	server, name := get(n, "server"), get(n, "name")
	if !is(server) && !is(name) {
		a.problem("destination", n, "it names no cluster")
		return
	}
	if is(server) {
		a.server(server)
	}
	if is(name) && name.Value != "in-cluster" {
		a.problem("destination", name, "it names a cluster that is defined elsewhere; give its server")
	}
}

// values of a chart, and resources of Kustomize, may be URLs.
func (a *argo) values(source *yaml.Node) {
	files := slices.Clone(items(get(source, "helm", "valueFiles")))
	for _, parameter := range items(get(source, "helm", "fileParameters")) {
		files = append(files, get(parameter, "path"))
	}
	for _, file := range files {
		switch {
		case strings.Contains(file.Value, "{{"):
			a.problem("values", file, "it is a template, whose result is unknown")
		case strings.Contains(file.Value, "://"):
			a.found = append(a.found, target(boundary.Endpoint, file.Value, at(a.file, file.Line)))
		}
	}
	for _, component := range items(get(source, "kustomize", "components")) {
		if strings.ContainsAny(component.Value, ":{@") {
			a.problem("component", component, "it is elsewhere; keep it in the repository")
		}
	}
}

// cluster reads the cluster in a Secret: its server, and its CA and server name.
func (a *argo) cluster(server, config *yaml.Node) {
	var given struct {
		TLS struct {
			Insecure           bool
			ServerName, CAData string
		} `json:"tlsClientConfig"`
		Exec  json.RawMessage `json:"execProviderConfig"`
		Proxy string          `json:"proxyUrl"`
	}
	where := at(a.file, config.Line)
	if config.Value != "" && json.Unmarshal([]byte(config.Value), &given) != nil {
		a.problem("config", config, "it is not JSON, so the server's CA is unknown")
	}
	if given.TLS.Insecure {
		a.problem("config", config, "insecure accepts any server; give the cluster's CA")
	}
	if len(given.Exec) > 0 && string(given.Exec) != "null" {
		a.problem("config", config, "execProviderConfig runs a program, which may lead anywhere")
	}
	if given.TLS.ServerName != "" {
		a.found = append(a.found, known(boundary.Host, given.TLS.ServerName, where))
	}
	if given.Proxy != "" {
		a.found = append(a.found, target(boundary.Endpoint, given.Proxy, where))
	}
	sums, err := caSums(cluster2ca(a.file, given.TLS.CAData, ""))
	if err != nil {
		a.problem("config", config, "its CA cannot be read ("+err.Error()+")")
	}
	if len(sums) == 0 || server.Value == "https://kubernetes.default.svc" {
		a.server(server)
		return
	}
	a.found = append(a.found, kube(server.Value, sums, at(a.file, server.Line))...)
}

func (a *argo) server(n *yaml.Node) {
	switch {
	case n.Value == "https://kubernetes.default.svc":
	case n.Value == "" || strings.ContainsAny(n.Value, "*{"):
		a.problem("server", n, "it is a pattern, or a cluster that is defined elsewhere")
	default:
		a.found = append(a.found, target(boundary.Kube, n.Value, at(a.file, n.Line)))
	}
}

func (a *argo) repository(n *yaml.Node, chart bool) {
	switch url := n.Value; {
	case url == "" || strings.Contains(url, "{{") || url == "*":
		a.problem("repository", n, "it is a pattern, or a repository that is defined elsewhere")
	case strings.HasPrefix(url, "!"): // a project's exception
	default:
		if chart && !strings.Contains(url, "://") {
			url = "https://" + url // a registry of charts
		}
		a.found = append(a.found, target(boundary.Git, strings.Replace(url, "oci://", "https://", 1), at(a.file, n.Line)))
	}
}

// generators of an ApplicationSet may set the template's values in many places.
func (a *argo) generators(n *yaml.Node) {
	walk(n, func(key string, value *yaml.Node) {
		switch {
		case key == "repoURL" || key == "repository" && value.Kind == yaml.ScalarNode:
			a.repository(value, false)
		case key == "server" && value.Kind == yaml.ScalarNode:
			a.server(value)
		case key == "destination" && is(get(value, "name")) && !is(get(value, "server")):
			a.destination(value) // a generator's own template
		case key == "source" && value.Kind == yaml.MappingNode:
			a.values(value)
		case key == "sources":
			for _, source := range items(value) {
				a.values(source)
			}
		case key == "url" && value.Kind == yaml.ScalarNode:
			a.found = append(a.found, target(boundary.Kube, value.Value, at(a.file, value.Line)))
		case key == "api" && value.Kind == yaml.ScalarNode && value.Value != "":
			a.found = append(a.found, target(boundary.Endpoint, value.Value, at(a.file, value.Line)))
		case key == "clusters" || key == "clusterDecisionResource" || key == "scmProvider" || key == "pullRequest" || key == "plugin":
			a.problem("generator "+key, value, "its targets are only known at run time")
		}
	})
}

// secret returns a decoded value of a Secret.
func (a *argo) secret(doc *yaml.Node, key string) *yaml.Node {
	if plain := get(doc, "stringData", key); is(plain) {
		return plain
	}
	n := *get(doc, "data", key)
	decoded, err := base64.StdEncoding.DecodeString(n.Value)
	if err != nil {
		a.problem(key, &n, errors.New("it is not base64").Error())
	}
	n.Value = strings.TrimSpace(string(decoded))
	if n.Line == 0 {
		n.Line = doc.Line
	}
	return &n
}
