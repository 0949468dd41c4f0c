// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"bytes"
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

const heading = "SPDX-License-Identifier: GPL-3.0-or-later\n\nWhat production is: the sandbox is held to it by the parity gate. All that may\nstand here: docs/schema/parity.schema.json.\n"

// Marshal writes a manifest as YAML in its canonical order: equal manifests
// give equal bytes, and Parse returns the same manifest. A manifest that Parse
// would refuse is an error.
func Marshal(m *Manifest) ([]byte, error) {
	sorted := m.clone()
	sorted.Sort()
	document := block(
		"kubernetes", block("distribution", text(string(m.Kubernetes.Distribution)), "version", text(m.Kubernetes.Version)),
		"nodes", each(sorted.Nodes, func(n Node) *yaml.Node {
			return row("name", text(n.Name), "roles", flow(each(n.Roles, text)), "architecture", text(n.Architecture))
		}),
		"components", each(sorted.Components, componentNode),
		"applications", block("namespace", text(m.Applications.Namespace), "items", each(sorted.Applications.Items, applicationNode)),
		"outside", each(sorted.Outside, func(o Outside) *yaml.Node {
			var images *yaml.Node
			if len(o.Images) > 0 {
				images = flow(each(o.Images, text))
			}
			return block("name", text(o.Name), "hosts", text(o.Hosts), "version", text(o.Version), "images", images, "compose",
				row("project", text(o.Compose.Project), "service", text(o.Compose.Service), "image", text(o.Compose.Image)))
		}),
		"backups", each(sorted.Backups, func(b Backup) *yaml.Node {
			return row("storage_class", optional(b.StorageClass), "may_be_empty", mark(b.MayBeEmpty), "namespace", optional(b.Namespace), "claim", optional(b.Claim))
		}),
	)
	document.HeadComment = heading
	var out bytes.Buffer
	out.WriteString("---\n")
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("writing the parity manifest: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("writing the parity manifest: %w", err)
	}
	if _, err := Parse("as written", out.Bytes()); err != nil {
		return nil, fmt.Errorf("writing the parity manifest: what was written could not be read again: %w", err)
	}
	return out.Bytes(), nil
}

func (m *Manifest) clone() *Manifest {
	out := *m
	out.Nodes = slices.Clone(m.Nodes)
	for i := range out.Nodes {
		out.Nodes[i].Roles = slices.Clone(out.Nodes[i].Roles)
	}
	out.Components, out.Applications.Items = slices.Clone(m.Components), slices.Clone(m.Applications.Items)
	out.Outside, out.Backups = slices.Clone(m.Outside), slices.Clone(m.Backups)
	for i := range out.Outside {
		out.Outside[i].Images = slices.Clone(out.Outside[i].Images)
	}
	return &out
}

func componentNode(c Component) *yaml.Node {
	found := row("api_group", optional(c.FoundBy.APIGroup))
	switch by := c.FoundBy; {
	case by.HelmRelease != nil:
		of := by.HelmRelease.VersionOf
		if of == OfChart {
			of = ""
		}
		found = row("helm_release", row("namespace", text(by.HelmRelease.Namespace), "name", text(by.HelmRelease.Name), "version_of", optional(string(of))))
	case by.Image != nil:
		found = row("image", row("namespace", optional(by.Image.Namespace), "repository", text(by.Image.Repository)))
	}
	return block("name", text(c.Name), "version", text(c.Version), "found_by", found)
}

func applicationNode(a Application) *yaml.Node {
	source := func(s Source) []any {
		return []any{"repository", text(s.Repository), "path", optional(s.Path), "chart", optional(s.Chart), "revision", text(s.Revision)}
	}
	if len(a.Sources) == 1 {
		return row(append([]any{"name", text(a.Name)}, source(a.Sources[0])...)...)
	}
	return block("name", text(a.Name), "sources", each(a.Sources, func(s Source) *yaml.Node { return row(source(s)...) }))
}

func text(value string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode}
	node.SetString(value)
	return node
}

// optional returns nil for an empty string.
func optional(value string) *yaml.Node {
	if value == "" {
		return nil
	}
	return text(value)
}

// mark returns nil for false.
func mark(is bool) *yaml.Node {
	if !is {
		return nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
}

// block returns a mapping of keys and values, without null values.
func block(pairs ...any) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := pairs[i+1].(*yaml.Node); value != nil {
			node.Content = append(node.Content, text(pairs[i].(string)), value)
		}
	}
	return node
}

// row returns a block on one line.
func row(pairs ...any) *yaml.Node { return flow(block(pairs...)) }

func flow(node *yaml.Node) *yaml.Node {
	node.Style = yaml.FlowStyle
	return node
}

func each[T any](list []T, write func(T) *yaml.Node) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if len(list) == 0 {
		node.Style = yaml.FlowStyle
	}
	for _, entry := range list {
		node.Content = append(node.Content, write(entry))
	}
	return node
}
