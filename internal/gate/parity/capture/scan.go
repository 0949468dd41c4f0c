// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// Problem is a reason why the manifest cannot be written.
type Problem struct {
	Rule    string `json:"rule"`    // unread, conflict, missing, unknown, address
	Where   string `json:"where"`   // repository:path, "the inventory", "the cluster", or the option
	Message string `json:"message"` // one line without full stop
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Rule, p.Where, p.Message) }

// The rules of Problem.
const (
	unread   = "unread"   // a file, or its content, cannot be read
	conflict = "conflict" // two sources differ
	missing  = "missing"  // no source has the value
	unknown  = "unknown"  // the value has an unsupported form
	address  = "address"  // the value contains an address
)

// said is a value and its source.
type said struct {
	Value string
	Where string
}

// release is what a HelmChart object installs.
type release struct {
	Namespace, Name string
	Chart           string
	Version         said // Value is empty if none is pinned
}

// image is an image that some source sets.
type image struct {
	Namespace  string // empty if the source does not say
	Repository string
	Tag        said
}

// chart is a Helm chart in a repository.
type chart struct {
	Repository, Dir   string
	Name              string
	Version           said
	AppVersion        said
	Dependencies      map[string]said // by name; the version that Chart.lock holds, if there is one
	dependencyAliases []string        // the keys in values that belong to a dependency
}

// claim is a PersistentVolumeClaim, or one that a StatefulSet makes.
type claim struct {
	Namespace, Name, Class string
	Labels                 map[string]string
	Where                  string
}

// job is a RecurringJob of Longhorn that makes backups.
type job struct {
	Name   string
	Groups []string
	Where  string
}

// facts are the facts from all repositories.
type facts struct {
	releases     []release
	images       []image
	charts       []chart
	applications []application
	claims       []claim
	jobs         []job
	selectors    map[string][]selected // by storage class: jobs and groups of its new volumes
	longhorn     map[string]bool       // whether a storage class is Longhorn's, if a manifest exists
	problems     []Problem
}

// scan reads the files of repositories.
type scan struct {
	facts
	layers    func(f file, inventory variables) variables // values of the plain variables of a file
	common    variables                                   // of the inventory, with the same value on all hosts
	templates map[string]bool                             // files that an option declares, by where
}

func (s *scan) problem(rule, where, format string, args ...any) {
	s.problems = append(s.problems, Problem{rule, where, fmt.Sprintf(format, args...)})
}

// manifestFile returns whether a file may contain manifests, and whether its name is that of a Jinja template.
func manifestFile(name string) (jinjaTemplate, ok bool) {
	for _, ending := range []string{".j2", ".jinja2", ".tmpl", ".gotmpl", ".tpl"} {
		if rest, cut := strings.CutSuffix(name, ending); cut {
			name, jinjaTemplate = rest, true
		}
	}
	switch path.Ext(name) {
	case ".yml", ".yaml", ".json":
		return jinjaTemplate, true
	}
	return false, false
}

// read reads all files of a tree that may contain manifests.
func (s *scan) read(ctx context.Context, t *tree) error {
	var wanted []*file
	var dirs []string // of charts, longest first
	for i := range t.Files {
		f := &t.Files[i]
		if path.Base(f.Path) == "Chart.yaml" {
			dirs = append(dirs, path.Dir(f.Path))
		}
		if !within(f.Path, t.read) {
			continue
		}
		_, manifests := manifestFile(f.Path)
		switch {
		case f.Mode == "160000":
			s.problem(unread, f.where(), "it is a submodule; list its repository too")
		case f.Mode == "120000" && (manifests || path.Ext(f.Path) == ""):
			s.problem(unread, f.where(), "it is a symbolic link")
		case f.Mode == "120000":
		case manifests || path.Base(f.Path) == "Chart.lock":
			if f.Size > maxFile {
				s.problem(unread, f.where(), "it is larger than %d MiB", maxFile>>20)
				continue
			}
			wanted = append(wanted, f)
		}
	}
	if err := t.fetch(ctx, wanted); err != nil {
		return err
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(b) - len(a) })
	byDir := map[string]*chart{}
	for _, f := range wanted {
		if path.Base(f.Path) == "Chart.yaml" {
			c := s.chart(t, f)
			byDir[path.Dir(f.Path)] = c
		}
	}
	for _, f := range wanted {
		base, dir := path.Base(f.Path), path.Dir(f.Path)
		switch {
		case base == "Chart.yaml" || base == "Chart.lock":
		case byDir[dir] != nil && strings.HasPrefix(base, "values") && !strings.Contains(base, ".schema."):
			s.values(f, byDir[dir])
		default:
			s.file(f, dirs)
		}
	}
	for _, dir := range dirs {
		if c := byDir[dir]; c != nil {
			s.charts = append(s.charts, *c)
		}
	}
	return nil
}

// inTemplates reports whether a file is one that Helm renders.
func inTemplates(name string, charts []string) bool {
	for _, dir := range charts {
		prefix := dir + "/"
		if dir == "." {
			prefix = ""
		}
		if strings.HasPrefix(name, prefix+"templates/") {
			return true
		}
	}
	return false
}

// file reads the manifests in a file, also inside other content.
func (s *scan) file(f *file, charts []string) {
	if s.templates[f.where()] {
		return
	}
	text, known := string(f.Data), s.layers(*f, s.common)
	var err error
	named, _ := manifestFile(f.Path)
	switch {
	case inTemplates(f.Path, charts) && strings.Contains(text, "{{"):
		text, err = goTemplate(text)
	case named:
		text, err = jinja(text, known)
	}
	var docs []*yaml.Node
	if err == nil {
		docs, err = documents([]byte(text))
	}
	if err != nil {
		s.problem(unread, f.where(), "%v", err)
		return
	}
	for _, doc := range docs {
		s.walk(f.where(), doc, known)
	}
}

// embedded returns whether a string in a file contains a manifest, as in an Ansible task that copies one.
var embedded = lazyregexp.New(`(?s)apiVersion:.*\n.*kind:|kind:.*\n.*apiVersion:`)

// walk finds every object in a document, at whatever depth.
func (s *scan) walk(where string, n *yaml.Node, known variables) {
	switch n = real(n); n.Kind {
	case yaml.MappingNode:
		version, kind := get(n, "apiVersion"), get(n, "kind")
		if version.Kind == yaml.ScalarNode && kind.Kind == yaml.ScalarNode {
			if unfilled(version.Value) || unfilled(kind.Value) {
				s.problem(unread, where, "line %d: what kind of object it is, is left to a template", n.Line)
				return
			}
			if kind.Value != "ApplicationSet" { // its templates are expanded separately
				fillAll(n, known, 0)
			}
			if err := s.object(where, version.Value, kind.Value, n); err != nil {
				s.problem(unread, where, "%s %s: %v", kind.Value, named(n), err)
			}
			if kind.Value == "CustomResourceDefinition" || kind.Value == "ApplicationSet" || kind.Value == "HelmChart" || kind.Value == "HelmChartConfig" {
				return
			}
		}
		for _, p := range pairs(n) {
			s.walk(where, p.Value, known)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			s.walk(where, item, known)
		}
	case yaml.ScalarNode:
		if !embedded.MatchString(n.Value) || !relevant.MatchString(n.Value) {
			return
		}
		text, err := jinja(n.Value, known)
		var docs []*yaml.Node
		if err == nil {
			docs, err = documents([]byte(text))
		}
		if err != nil {
			s.problem(unread, where, "line %d: the manifest in this text: %v", n.Line, err)
			return
		}
		for _, doc := range docs {
			shift(doc, n)
			s.walk(where, doc, known)
		}
	}
}

// shift adjusts the lines of nodes inside a string to the file's lines.
func shift(n, text *yaml.Node) {
	if text.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return // a quoted string is on one line
	}
	n.Line += text.Line
	for _, child := range n.Content {
		shift(child, text)
	}
}

func named(n *yaml.Node) string {
	if name := get(n, "metadata", "name"); name.Kind == yaml.ScalarNode && !unfilled(name.Value) {
		return name.Value
	}
	return fmt.Sprintf("(line %d)", n.Line)
}

// relevant are words of which every relevant text contains at least one.
var relevant = lazyregexp.New(`helm\.cattle\.io/|argoproj\.io/|longhorn\.io/|PersistentVolumeClaim|StatefulSet|StorageClass|image:`)

// fillAll fills plain variables in the texts of an object in an Ansible file.
func fillAll(n *yaml.Node, known variables, depth int) {
	if depth > 100 {
		return
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "{{") && !strings.Contains(n.Value, "\n") {
		n.Value = expression.ReplaceAllStringFunc(n.Value, func(found string) string { return fill(found, known, 0) })
	}
	for _, child := range n.Content {
		fillAll(child, known, depth+1)
	}
}

// object reads one object. An error means that a relevant object
// cannot be read.
func (s *scan) object(where, version, kind string, n *yaml.Node) error {
	group, _, _ := strings.Cut(version, "/")
	if !strings.Contains(version, "/") {
		group = ""
	}
	switch {
	case group == "helm.cattle.io" && kind == "HelmChart":
		return s.helmChart(where, n)
	case group == "helm.cattle.io" && kind == "HelmChartConfig":
		return s.helmValues(where, n, "")
	case group == "argoproj.io" && kind == "Application":
		return s.application(where, n)
	case group == "argoproj.io" && kind == "ApplicationSet":
		return s.applicationSet(where, n)
	case group == "longhorn.io" && kind == "RecurringJob":
		return s.recurringJob(where, n)
	case group == "storage.k8s.io" && kind == "StorageClass":
		return s.storageClass(n)
	case group == "" && kind == "PersistentVolumeClaim":
		return s.claim(where, n)
	case group == "apps" && kind == "StatefulSet":
		s.workload(where, n)
		return s.statefulSet(where, n)
	case group == "" && kind == "Pod", group == "apps", group == "batch":
		s.workload(where, n)
	}
	return nil
}

// workload records the images of an object that runs pods.
func (s *scan) workload(where string, n *yaml.Node) {
	namespace := get(n, "metadata", "namespace").Value
	if unfilled(namespace) {
		namespace = ""
	}
	spec := get(n, "spec")
	for _, keys := range [][]string{{}, {"template", "spec"}, {"jobTemplate", "spec", "template", "spec"}} {
		for _, container := range items(get(spec, append(keys, "containers")...)) {
			reference := get(container, "image")
			if reference.Kind == yaml.ScalarNode && !unfilled(reference.Value) && reference.Value != "" {
				s.image(namespace, reference.Value, fmt.Sprintf("%s:%d", where, reference.Line))
			}
		}
	}
}
