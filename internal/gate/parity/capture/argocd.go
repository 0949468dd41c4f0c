// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// application is an Application of ArgoCD and where it was found.
type application struct {
	parity.Application
	Namespace   string // its own; empty if the manifest does not say
	Destination string // the namespace that it installs into; empty if unknown
	Where       string
}

// AppOfApps is a list in a values file from which a chart makes Applications with
// one template. Name, SourceRepository and the rest are the template's results
// for an entry: {key} is the entry's key, or the entry itself in a list of
// strings; {field} is a field of it, {field|main} a field with a default.
type AppOfApps struct {
	Repository       string `arg:"repository"`
	Values           string `arg:"values"`            // path of the file
	List             string `arg:"list"`              // keys to the list, with dots
	Template         string `arg:"template"`          // path of the chart's template that iterates over the list
	Name             string `arg:"name"`              // of the Application
	SourceRepository string `arg:"source_repository"` // owner/name, or a URL
	SourcePath       string `arg:"source_path"`
	Revision         string `arg:"revision"`
	Namespace        string `arg:"namespace"` // that it installs into
}

func (s *scan) application(where string, n *yaml.Node) error {
	name, err := plain(get(n, "metadata", "name"), "its name")
	if err != nil {
		return err
	}
	namespace, err := optional(get(n, "metadata", "namespace"), "its namespace")
	if err != nil {
		return err
	}
	found, err := s.applicationSpec(at(where, n), get(n, "spec"))
	if err != nil {
		return err
	}
	found.Name, found.Namespace = name, namespace
	s.applications = append(s.applications, found)
	return nil
}

func (s *scan) applicationSpec(where string, spec *yaml.Node) (application, error) {
	found := application{Where: where}
	if is(get(spec, "sourceHydrator")) {
		return found, fmt.Errorf("line %d: a sourceHydrator writes what is synced; it is not followed", spec.Line)
	}
	sources := items(get(spec, "sources"))
	if single := get(spec, "source"); is(single) {
		// ArgoCD uses sources if both are set.
		if len(sources) == 0 {
			sources = append(sources, single)
		}
	}
	if len(sources) == 0 {
		return found, fmt.Errorf("it has no source")
	}
	var err error
	if found.Destination, err = optional(get(spec, "destination", "namespace"), "destination.namespace"); err != nil {
		found.Destination = ""
	}
	for _, n := range sources {
		n = real(n)
		url, err := plain(get(n, "repoURL"), "repoURL")
		if err != nil {
			return found, err
		}
		chartName, err := optional(get(n, "chart"), "chart")
		if err != nil {
			return found, err
		}
		folder, err := optional(get(n, "path"), "path")
		if err != nil {
			return found, err
		}
		revision, err := optional(get(n, "targetRevision"), "targetRevision")
		if err != nil {
			return found, err
		}
		found.Sources = append(found.Sources, source(url, folder, chartName, revision))
		values := get(n, "helm", "valuesObject")
		if text := get(n, "helm", "values"); text.Kind == yaml.ScalarNode && is(text) && !is(values) {
			docs, err := documents([]byte(text.Value))
			if err != nil {
				return found, fmt.Errorf("line %d: helm.values: %w", text.Line, err)
			}
			for _, doc := range docs {
				s.valueImages(where, doc, found.Destination, nil, "")
			}
		}
		s.valueImages(where, values, found.Destination, nil, "")
	}
	return found, nil
}

// source returns a source in the manifest's form. For Git the revision is its
// kind, since the sandbox's forge has other branches; for a chart its version.
func source(url, folder, chartName, revision string) parity.Source {
	out := parity.Source{Repository: parity.RepositoryOf(url, chartName != ""), Chart: chartName, Revision: parity.Policy(revision)}
	if chartName != "" && revision != "" {
		out.Revision = revision
	}
	if chartName == "" && folder != "" {
		out.Path = strings.TrimPrefix(path.Clean("/"+folder), "/")
		if out.Path == "" {
			out.Path = "."
		}
	}
	return out
}

// setVariable matches the supported expressions of an ApplicationSet's template: {{name}} or, with goTemplate, {{.name}}.
var setVariable = lazyregexp.New(`\{\{\s*\.?([A-Za-z0-9_.-]+)\s*\}\}`)

// applicationSet reads an ApplicationSet whose generators are lists. The results of
// other generators are known only at run time.
func (s *scan) applicationSet(where string, n *yaml.Node) error {
	if _, err := plain(get(n, "metadata", "name"), "its name"); err != nil {
		return err
	}
	if is(get(n, "spec", "templatePatch")) {
		return fmt.Errorf("the result of its templatePatch is not known")
	}
	generators := items(get(n, "spec", "generators"))
	if len(generators) == 0 {
		return fmt.Errorf("it has no generators")
	}
	namespace, err := optional(get(n, "metadata", "namespace"), "its namespace")
	if err != nil {
		return err
	}
	for _, generator := range generators {
		list := get(generator, "list", "elements")
		if list.Kind != yaml.SequenceNode || len(pairs(generator)) != 1 || is(get(generator, "list", "template")) || is(get(generator, "list", "elementsYaml")) {
			return fmt.Errorf("line %d: only a generator with a list of elements can be followed; another finds its Applications when it runs", real(generator).Line)
		}
		for _, element := range list.Content {
			fields := map[string]string{}
			flatten(element, "", fields)
			template := filled(get(n, "spec", "template"), fields)
			name, err := plain(get(template, "metadata", "name"), "the name of its Applications")
			if err != nil {
				return err
			}
			found, err := s.applicationSpec(at(where, real(element)), get(template, "spec"))
			if err != nil {
				return err
			}
			found.Name, found.Namespace = name, namespace
			s.applications = append(s.applications, found)
		}
	}
	return nil
}

// flatten adds the strings in a tree by their keys, joined with dots.
func flatten(n *yaml.Node, prefix string, into map[string]string) {
	for _, p := range pairs(n) {
		if value := real(p.Value); value.Kind == yaml.ScalarNode {
			into[prefix+p.Key.Value] = value.Value
		} else {
			flatten(value, prefix+p.Key.Value+".", into)
		}
	}
}

// filled returns a copy of a template with its variables filled; unknown ones stay.
func filled(n *yaml.Node, fields map[string]string) *yaml.Node {
	n = real(n)
	out := *n
	if out.Kind == yaml.ScalarNode {
		out.Value = setVariable.ReplaceAllStringFunc(out.Value, func(found string) string {
			if value, ok := fields[setVariable.FindStringSubmatch(found)[1]]; ok {
				return value
			}
			return found
		})
	}
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		out.Content[i] = filled(child, fields)
	}
	return &out
}

// declared reads the Applications of an AppOfApps.
func (s *scan) declared(a AppOfApps, values, template *file) error {
	keys := strings.Split(a.List, ".")
	text := string(template.Data)
	if !regexp.MustCompile(`\{\{-?\s*range\b[^}]*\.Values\.`+regexp.QuoteMeta(a.List)+`(\s|-?\}\})`).MatchString(text) || !strings.Contains(text, "Application") {
		return fmt.Errorf("%s does not iterate over .Values.%s to make Applications; correct the option app_of_apps", template.where(), a.List)
	}
	if strings.Count(text, "{{- range")+strings.Count(text, "{{ range")+strings.Count(text, "{{range") > 1 {
		return fmt.Errorf("%s iterates over more than one list; app_of_apps supports one", template.where())
	}
	docs, err := documents(values.Data)
	if err != nil || len(docs) != 1 {
		return fmt.Errorf("%s: %s", values.where(), cause(err, "it must hold one document"))
	}
	list := get(docs[0], keys...)
	type entry struct {
		key  string
		node *yaml.Node
	}
	var entries []entry
	switch list.Kind {
	case yaml.MappingNode:
		for _, p := range pairs(list) {
			entries = append(entries, entry{p.Key.Value, real(p.Value)})
		}
	case yaml.SequenceNode:
		for _, item := range list.Content {
			entries = append(entries, entry{real(item).Value, real(item)})
		}
	default:
		return fmt.Errorf("%s: there is no list %s", values.where(), a.List)
	}
	if len(entries) == 0 {
		return fmt.Errorf("%s:%d: the list %s is empty", values.where(), list.Line, a.List)
	}
	for _, e := range entries {
		fields := map[string]string{}
		flatten(e.node, "", fields)
		if e.key != "" {
			fields["key"] = e.key
		}
		var made [5]string
		for i, pattern := range []string{a.Name, a.SourceRepository, a.SourcePath, a.Revision, a.Namespace} {
			if made[i], err = expand(pattern, fields); err != nil {
				return fmt.Errorf("%s: %w", at(values.where(), e.node), err)
			}
		}
		if made[0] == "" || made[1] == "" {
			return fmt.Errorf("%s: an Application needs a name and a repository", at(values.where(), e.node))
		}
		s.applications = append(s.applications, application{
			Application: parity.Application{Name: made[0], Sources: []parity.Source{source(made[1], made[2], "", made[3])}},
			Destination: made[4], Where: at(values.where(), e.node),
		})
	}
	return nil
}

var field = lazyregexp.New(`\{([A-Za-z0-9_.-]+)(\|[^{}]*)?\}`)

// expand fills a pattern of AppOfApps.
func expand(pattern string, fields map[string]string) (string, error) {
	var bad error
	out := field.ReplaceAllStringFunc(pattern, func(found string) string {
		parts := field.FindStringSubmatch(found)
		if value, ok := fields[parts[1]]; ok && (value != "" || parts[2] == "") {
			return value
		}
		if parts[2] == "" && bad == nil {
			bad = fmt.Errorf("it has no field %s; write {%s|what counts then} in the option app_of_apps", parts[1], parts[1])
		}
		return strings.TrimPrefix(parts[2], "|")
	})
	if bad == nil && (strings.ContainsAny(out, "{}") || unfilled(out)) {
		bad = fmt.Errorf("the pattern %q of the option app_of_apps, or what fills it, is not understood", pattern)
	}
	return out, bad
}

// destinations returns the namespaces that the Applications of a file install into.
func destinations(applications []application, where string) []string {
	repository, name, _ := strings.Cut(where, ":")
	var found []string
	for _, a := range applications {
		for _, src := range a.Sources {
			owned := src.Repository == repository || strings.HasSuffix(src.Repository, "/"+strings.ToLower(repository))
			if owned && src.Path != "" && within(name, []string{src.Path}) {
				if a.Destination == "" {
					return nil // one of them is not known
				}
				found = append(found, a.Destination)
			}
		}
	}
	return unique(found)
}
