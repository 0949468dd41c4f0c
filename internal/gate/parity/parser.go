// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// parser reads the nodes of a manifest.
type parser struct{ strictyaml.File }

// Parse parses a manifest; file is its name in messages. Unknown keys and missing
// sections are errors with file, line and column, since otherwise parts of
// production would not be compared.
func Parse(file string, data []byte) (*Manifest, error) {
	m := &Manifest{}
	p := parser{strictyaml.File(file)}
	root, err := p.Document(data)
	if err == nil {
		err = p.manifest(root, m)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the parity manifest: %w", err)
	}
	m.Sort()
	return m, nil
}

func (p parser) manifest(root *yaml.Node, m *Manifest) error {
	return p.Mapping(root, []string{"kubernetes", "nodes", "components", "applications", "outside", "backups"}, strictyaml.Keys{
		"kubernetes": func(n *yaml.Node) error { return p.kubernetes(n, &m.Kubernetes) },
		"nodes": func(n *yaml.Node) error {
			if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
				return p.At(n, "this list is empty; a cluster has a node at least")
			}
			return named(p, n, &m.Nodes, "node", func(v Node) string { return v.Name }, p.node)
		},
		"components": func(n *yaml.Node) error {
			return named(p, n, &m.Components, "component", func(v Component) string { return v.Name }, p.component)
		},
		"applications": func(n *yaml.Node) error {
			return p.Mapping(n, []string{"namespace", "items"}, strictyaml.Keys{
				"namespace": p.name(&m.Applications.Namespace),
				"items": func(n *yaml.Node) error {
					return named(p, n, &m.Applications.Items, "application", func(v Application) string { return v.Name }, p.application)
				},
			})
		},
		"outside": func(n *yaml.Node) error {
			return named(p, n, &m.Outside, "entry", func(v Outside) string { return v.Name }, p.outside)
		},
		"backups": func(n *yaml.Node) error {
			return named(p, n, &m.Backups, "entry", func(v Backup) string { return v.StorageClass + " " + v.Namespace + "/" + v.Claim }, p.backup)
		},
	})
}

// named reads a list of entries with unique names.
func named[T any](p parser, n *yaml.Node, into *[]T, what string, name func(T) string, read func(*yaml.Node, *T) error) error {
	if n.Kind != yaml.SequenceNode {
		return p.At(n, "not a list; write [] for none")
	}
	*into = []T{}
	seen := map[string]bool{}
	for _, entry := range n.Content {
		var value T
		if err := read(entry, &value); err != nil {
			return err
		}
		if seen[name(value)] {
			return p.At(entry, "the %s %s is listed twice", what, strings.TrimSuffix(strings.TrimSpace(name(value)), " /"))
		}
		seen[name(value)] = true
		*into = append(*into, value)
	}
	return nil
}

func (p parser) kubernetes(n *yaml.Node, into *Kubernetes) error {
	var distribution string
	err := p.Mapping(n, []string{"distribution", "version"}, strictyaml.Keys{
		"distribution": p.choice(&distribution, string(k3s), string(embedded), string(other)),
		"version":      p.matching(&into.Version, kubernetesVersionText, "a version of Kubernetes, such as v1.34.3+k3s1"),
	})
	if err != nil {
		return err
	}
	into.Distribution = Distribution(distribution)
	if found := DistributionOf(into.Version); found != into.Distribution {
		return p.At(n, "the version %s is one of the distribution %s, not %s", into.Version, found, distribution)
	}
	return nil
}

func (p parser) node(n *yaml.Node, into *Node) error {
	return p.Mapping(n, []string{"name", "roles", "architecture"}, strictyaml.Keys{
		"name": p.name(&into.Name),
		"roles": func(n *yaml.Node) error {
			if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
				return p.At(n, "not a list: [server] or [agent], and further roles")
			}
			for _, entry := range n.Content {
				var role string
				if err := p.name(&role)(entry); err != nil {
					return err
				}
				if slices.Contains(into.Roles, role) {
					return p.At(entry, "the role %s is listed twice", role)
				}
				into.Roles = append(into.Roles, role)
			}
			if slices.Contains(into.Roles, "server") == slices.Contains(into.Roles, "agent") {
				return p.At(n, "a node is either server or agent")
			}
			return nil
		},
		"architecture": p.name(&into.Architecture),
	})
}

func (p parser) component(n *yaml.Node, into *Component) error {
	return p.Mapping(n, []string{"name", "version", "found_by"}, strictyaml.Keys{
		"name":    p.name(&into.Name),
		"version": p.version(&into.Version),
		"found_by": func(n *yaml.Node) error {
			if n.Kind == yaml.MappingNode && len(n.Content) != 2 {
				return p.At(n, "one of helm_release, image and api_group is needed here")
			}
			return p.Mapping(n, nil, strictyaml.Keys{
				"helm_release": func(n *yaml.Node) error {
					release := HelmRelease{VersionOf: OfChart}
					into.FoundBy.HelmRelease = &release
					return p.Mapping(n, []string{"namespace", "name"}, strictyaml.Keys{
						"namespace": p.name(&release.Namespace), "name": p.name(&release.Name),
						"version_of": p.choice((*string)(&release.VersionOf), string(OfChart), string(OfApp)),
					})
				},
				"image": func(n *yaml.Node) error {
					image := Image{}
					into.FoundBy.Image = &image
					return p.Mapping(n, []string{"repository"}, strictyaml.Keys{
						"namespace": p.name(&image.Namespace), "repository": p.repository(&image.Repository),
					})
				},
				"api_group": p.name(&into.FoundBy.APIGroup),
			})
		},
	})
}

func (p parser) application(n *yaml.Node, into *Application) error {
	var single Source
	var sources *yaml.Node
	readers := p.source(&single)
	readers["name"] = p.name(&into.Name)
	readers["sources"] = func(n *yaml.Node) error {
		sources = n
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			return p.At(n, "a list of sources is needed here")
		}
		for _, entry := range n.Content {
			var source Source
			if err := p.Mapping(entry, []string{"repository", "revision"}, p.source(&source)); err != nil {
				return err
			}
			into.Sources = append(into.Sources, source)
		}
		return nil
	}
	if err := p.Mapping(n, []string{"name"}, readers); err != nil {
		return err
	}
	switch {
	case sources == nil && (single.Repository == "" || single.Revision == ""):
		return p.At(n, "the application %s needs repository and revision, or sources", into.Name)
	case sources == nil:
		into.Sources = []Source{single}
	case single != Source{}:
		return p.At(n, "the application %s has sources, so repository, path, chart and revision belong into them", into.Name)
	}
	for _, source := range into.Sources {
		if source.Path != "" && source.Chart != "" {
			return p.At(n, "a source of the application %s has both path and chart", into.Name)
		}
	}
	return nil
}

func (p parser) source(into *Source) strictyaml.Keys {
	return strictyaml.Keys{
		"repository": p.repository(&into.Repository),
		"path":       p.matching(&into.Path, pathText, "a path in the repository"),
		"chart":      p.repository(&into.Chart),
		"revision":   p.version(&into.Revision),
	}
}

func (p parser) outside(n *yaml.Node, into *Outside) error {
	return p.Mapping(n, []string{"name", "hosts", "version", "compose"}, strictyaml.Keys{
		"name":    p.name(&into.Name),
		"hosts":   p.name(&into.Hosts),
		"version": p.version(&into.Version),
		"images":  func(n *yaml.Node) error { return p.images(n, &into.Images) },
		"compose": func(n *yaml.Node) error {
			return p.Mapping(n, []string{"project", "service", "image"}, strictyaml.Keys{
				"project": p.name(&into.Compose.Project), "service": p.name(&into.Compose.Service), "image": p.repository(&into.Compose.Image),
			})
		},
	})
}

func (p parser) images(n *yaml.Node, into *[]string) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return p.At(n, "not a list; leave the key out for none")
	}
	for _, entry := range n.Content {
		var image string
		if err := p.repository(&image)(entry); err != nil {
			return err
		}
		if slices.Contains(*into, image) {
			return p.At(entry, "the image %s is listed twice", image)
		}
		*into = append(*into, image)
	}
	return nil
}

func (p parser) backup(n *yaml.Node, into *Backup) error {
	err := p.Mapping(n, nil, strictyaml.Keys{
		"namespace": p.name(&into.Namespace), "claim": p.name(&into.Claim), "storage_class": p.name(&into.StorageClass),
		"may_be_empty": func(n *yaml.Node) error { return p.yes(n, &into.MayBeEmpty) },
	})
	if err == nil && ((into.StorageClass == "") != (into.Namespace != "" && into.Claim != "") || into.StorageClass != "" && into.Namespace+into.Claim != "") {
		err = p.At(n, "either namespace and claim are needed here, or storage_class")
	}
	if err == nil && into.MayBeEmpty && into.StorageClass == "" {
		err = p.At(n, "may_be_empty is for a storage_class: a claim is there or not")
	}
	return err
}

var (
	nameText              = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	versionText           = lazyregexp.New(`^[A-Za-z0-9<>=~^*][A-Za-z0-9._+/:@<>=~^*-]*$`)
	kubernetesVersionText = lazyregexp.New(`^v[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)
	repositoryText        = lazyregexp.New(`^[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9._-]+)*$`)
	pathText              = lazyregexp.New(`^[^\s/\\][^\s\\]*$`)
)

// matching reads a string of one form. A number is refused: 1.10 would be 1.1.
func (p parser) matching(into *string, form *lazyregexp.Regexp, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		switch {
		case n.Kind != yaml.ScalarNode:
			return p.At(n, "%s is needed here", what)
		case n.Tag != "!!str":
			return p.At(n, "%s is needed here as a string; put it in quotes", what)
		case len(n.Value) > 512 || !form.MatchString(n.Value):
			return p.At(n, "%q is not %s", n.Value, what)
		}
		*into = n.Value
		return nil
	}
}

// name reads a name that is valid as a segment of a drift's path.
func (p parser) name(into *string) func(*yaml.Node) error {
	return p.matching(into, nameText, "a name of letters, digits, dots, dashes and underscores")
}

func (p parser) version(into *string) func(*yaml.Node) error {
	return p.matching(into, versionText, "a version")
}

func (p parser) repository(into *string) func(*yaml.Node) error {
	return p.matching(into, repositoryText, "the name of a repository in lower case, without scheme, tag and .git")
}

func (p parser) choice(into *string, choices ...string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || !slices.Contains(choices, n.Value) {
			return p.At(n, "one of %s is needed here", strings.Join(choices, ", "))
		}
		*into = n.Value
		return nil
	}
}

// yes reads a key whose only valid value is true.
func (p parser) yes(n *yaml.Node, into *bool) error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(into) != nil || !*into {
		return p.At(n, "must be true; remove the key otherwise")
	}
	return nil
}
