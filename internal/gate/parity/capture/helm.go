// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// exact matches a single version of a chart, as opposed to a range.
var exact = lazyregexp.New(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)

func at(where string, n *yaml.Node) string { return fmt.Sprintf("%s:%d", where, n.Line) }

// image records an image by its reference. Without a tag it has no version.
func (s *scan) image(namespace, reference, where string) {
	repository, tag := parity.SplitImage(reference)
	if tag == "latest" || strings.Contains(tag, ":") {
		tag = ""
	}
	s.images = append(s.images, image{Namespace: namespace, Repository: bareImage(repository), Tag: said{tag, where}})
}

// bareImage returns the repository of an image without Docker Hub's registry and
// default owner, since the sandbox may use a mirror.
func bareImage(repository string) string {
	if first, rest, ok := strings.Cut(repository, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		repository = rest
	}
	return strings.ToLower(strings.TrimPrefix(repository, "library/"))
}

// helmChart is an object by which k3s installs a chart. Its release is in
// targetNamespace, or beside the object (k3s-io/helm-controller).
func (s *scan) helmChart(where string, n *yaml.Node) error {
	name, err := plain(get(n, "metadata", "name"), "its name")
	if err != nil {
		return err
	}
	own, err := optional(get(n, "metadata", "namespace"), "its namespace")
	if err != nil {
		return err
	}
	namespace, err := optional(get(n, "spec", "targetNamespace"), "targetNamespace")
	if err != nil {
		return err
	}
	if namespace == "" {
		namespace = own
	}
	if namespace == "" {
		return fmt.Errorf("it has neither targetNamespace nor a namespace")
	}
	chartName, err := optional(get(n, "spec", "chart"), "chart")
	if err != nil {
		return err
	}
	version := get(n, "spec", "version")
	pinned, err := optional(version, "version")
	if err != nil {
		return err
	}
	if pinned != "" && !exact.MatchString(pinned) {
		return fmt.Errorf("line %d: the version %s is a range; the version that runs is not known", version.Line, pinned)
	}
	s.releases = append(s.releases, release{
		Namespace: namespace, Name: name, Chart: path.Base(chartName), Version: said{pinned, at(where, version)},
	})
	return s.helmValues(where, n, namespace)
}

// helmValues reads the values of a HelmChart or HelmChartConfig.
func (s *scan) helmValues(where string, n *yaml.Node, namespace string) error {
	content := get(n, "spec", "valuesContent")
	if !is(content) {
		return nil
	}
	if content.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: valuesContent is not a string", content.Line)
	}
	text, err := jinja(content.Value, nil)
	if err != nil {
		return fmt.Errorf("line %d: valuesContent: %w", content.Line, err)
	}
	docs, err := documents([]byte(text))
	if err != nil {
		return fmt.Errorf("line %d: valuesContent: %w", content.Line, err)
	}
	for _, doc := range docs {
		shift(doc, content)
		s.valueImages(where, doc, namespace, nil, "")
		if persistence := get(doc, "persistence"); get(persistence, "recurringJobSelector", "enable").Value == "true" {
			if err := s.selector("longhorn", get(persistence, "recurringJobSelector", "jobList")); err != nil {
				return err
			}
		}
	}
	return nil
}

// chart reads Chart.yaml and Chart.lock.
func (s *scan) chart(t *tree, f *file) *chart {
	dir := path.Dir(f.Path)
	c := &chart{Repository: f.Repository, Dir: dir, Dependencies: map[string]said{}}
	docs, err := documents(f.Data)
	if err != nil || len(docs) != 1 {
		s.problem(unread, f.where(), "%s", cause(err, "it must hold one document"))
		return c
	}
	text := func(n *yaml.Node) said {
		if n.Kind != yaml.ScalarNode || !is(n) || unfilled(n.Value) {
			return said{}
		}
		return said{n.Value, at(f.where(), n)}
	}
	c.Name = text(get(docs[0], "name")).Value
	c.Version, c.AppVersion = text(get(docs[0], "version")), text(get(docs[0], "appVersion"))
	if c.Name == "" || c.Version.Value == "" {
		s.problem(unread, f.where(), "a chart needs a name and a version")
	}
	locked := map[string]said{}
	if lock := t.find(path.Join(dir, "Chart.lock")); lock != nil && lock.Data != nil {
		docs, err := documents(lock.Data)
		if err != nil || len(docs) != 1 {
			s.problem(unread, lock.where(), "%s", cause(err, "it must hold one document"))
			return c
		}
		for _, entry := range items(get(docs[0], "dependencies")) {
			if version := get(entry, "version"); version.Kind == yaml.ScalarNode {
				locked[get(entry, "name").Value] = said{version.Value, at(lock.where(), version)}
			}
		}
	}
	for _, entry := range items(get(docs[0], "dependencies")) {
		name, version := get(entry, "name").Value, text(get(entry, "version"))
		key := name
		if alias := get(entry, "alias").Value; alias != "" {
			key = alias
		}
		c.dependencyAliases = append(c.dependencyAliases, key)
		pinned, isLocked := locked[name]
		switch {
		case isLocked:
			// Helm refuses to build a chart whose lock does not match, such as by another exact version.
			if exact.MatchString(version.Value) && !sameVersion(version.Value, pinned.Value) {
				s.problem(conflict, f.where(), "the dependency %s has version %s here and %s in Chart.lock", name, version.Value, pinned.Value)
			}
			c.Dependencies[name] = pinned
		case exact.MatchString(version.Value):
			c.Dependencies[name] = version
		default:
			c.Dependencies[name] = said{"", version.Where} // the version of a range without a lock is unknown
		}
	}
	return c
}

func cause(err error, otherwise string) string {
	if err != nil {
		return err.Error()
	}
	return otherwise
}

// values reads images from a values file of a chart.
func (s *scan) values(f *file, c *chart) {
	docs, err := documents(f.Data)
	if err != nil {
		s.problem(unread, f.where(), "%v", err)
		return
	}
	for _, doc := range docs {
		s.valueImages(f.where(), doc, "", c, "")
	}
}

// valueImages finds images in values: repository and tag in one mapping, or a
// reference under a key that ends in image. An empty tag is the chart's
// appVersion, as in charts of `helm create`, except in values of a dependency.
func (s *scan) valueImages(where string, n *yaml.Node, namespace string, c *chart, key string) {
	n = real(n)
	if repository := get(n, "repository"); repository.Kind == yaml.ScalarNode && is(repository) && !strings.Contains(repository.Value, "://") {
		tag := get(n, "tag")
		found := image{Namespace: namespace, Repository: bareImage(repository.Value)}
		switch {
		case tag.Kind == yaml.ScalarNode && is(tag) && tag.Value != "" && tag.Value != "latest" && !unfilled(tag.Value):
			found.Tag = said{tag.Value, at(where, tag)}
		case c != nil && !(tag.Kind == yaml.ScalarNode && is(tag) && tag.Value != "") && !dependencyKey(c, key):
			found.Tag = said{c.AppVersion.Value, c.AppVersion.Where}
		}
		if !unfilled(repository.Value) && repository.Value != "" {
			s.images = append(s.images, found)
		}
	}
	for _, p := range pairs(n) {
		inner := key
		if inner == "" {
			inner = p.Key.Value
		}
		value := real(p.Value)
		if value.Kind == yaml.ScalarNode && strings.HasSuffix(strings.ToLower(p.Key.Value), "image") && strings.ContainsAny(value.Value, ":/") && !unfilled(value.Value) {
			s.image(namespace, value.Value, at(where, value))
		}
		s.valueImages(where, value, namespace, c, inner)
	}
	for _, item := range items(n) {
		s.valueImages(where, item, namespace, c, key)
	}
}

func dependencyKey(c *chart, key string) bool {
	for _, alias := range c.dependencyAliases {
		if alias == key {
			return true
		}
	}
	return false
}

// sameVersion reports whether two texts are the same version: Helm takes v1.2.3 for 1.2.3.
func sameVersion(a, b string) bool { return strings.TrimPrefix(a, "v") == strings.TrimPrefix(b, "v") }

// selected is a job or group into which a storage class puts its new volumes.
type selected struct {
	Name    string `json:"name"`
	IsGroup bool   `json:"isGroup"`
}

// selector reads Longhorn's list of jobs for the volumes of a storage class: JSON in a text.
func (s *scan) selector(class string, n *yaml.Node) error {
	text, err := plain(n, "recurringJobSelector")
	if err != nil {
		return err
	}
	var list []selected
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return fmt.Errorf("line %d: the list of recurring jobs is not JSON", n.Line)
	}
	s.selectors[class] = append(s.selectors[class], list...)
	return nil
}
