// SPDX-License-Identifier: GPL-3.0-or-later

package couplings

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"gopkg.in/yaml.v3"
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
			a.problem("templatePatch", patch, "it is a template, and it cannot be told what comes of it")
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
	case kind == "Secret" && get(doc, "metadata", "labels", "argocd.argoproj.io/secret-type").Value == "cluster":
		a.server(a.secret(doc, "server"))
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
		a.problem("spec", spec, "it is missing, so it cannot be told where it leads")
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
		a.problem("source", spec, "it is missing, so it cannot be told where it leads")
	}
	for _, source := range sources {
		a.repository(get(source, "repoURL"), is(get(source, "chart")))
	}
}

// destination is a cluster by its URL or by its name. The cluster that ArgoCD itself runs in is no coupling.
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
		a.problem("destination", name, "it names a cluster by name, and where that leads stands elsewhere; give its server")
	}
}

func (a *argo) server(n *yaml.Node) {
	switch {
	case n.Value == "https://kubernetes.default.svc":
	case n.Value == "" || strings.ContainsAny(n.Value, "*{"):
		a.problem("server", n, "it stands for more than one cluster, or for one that is not known here")
	default:
		a.found = append(a.found, target(boundary.Kube, n.Value, at(a.file, n.Line)))
	}
}

func (a *argo) repository(n *yaml.Node, chart bool) {
	switch url := n.Value; {
	case url == "" || strings.Contains(url, "{{") || url == "*":
		a.problem("repository", n, "it stands for more than one repository, or for one that is not known here")
	case strings.HasPrefix(url, "!"): // a project's exception
	default:
		if chart && !strings.Contains(url, "://") {
			url = "https://" + url // a registry of charts
		}
		a.found = append(a.found, target(boundary.Git, strings.Replace(url, "oci://", "https://", 1), at(a.file, n.Line)))
	}
}

// generators of an ApplicationSet may say in many places what the template gets.
func (a *argo) generators(n *yaml.Node) {
	walk(n, func(key string, value *yaml.Node) {
		switch {
		case key == "repoURL" || key == "repository" && value.Kind == yaml.ScalarNode:
			a.repository(value, false)
		case key == "server" && value.Kind == yaml.ScalarNode:
			a.server(value)
		case key == "url" && value.Kind == yaml.ScalarNode:
			a.found = append(a.found, target(boundary.Kube, value.Value, at(a.file, value.Line)))
		case key == "api" && value.Kind == yaml.ScalarNode && value.Value != "":
			a.found = append(a.found, target(boundary.Endpoint, value.Value, at(a.file, value.Line)))
		case key == "clusters" || key == "clusterDecisionResource" || key == "scmProvider" || key == "pullRequest" || key == "plugin":
			a.problem("generator "+key, value, "it finds its targets only when it runs")
		}
	})
}

// secret is a value of a Secret, plain.
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
