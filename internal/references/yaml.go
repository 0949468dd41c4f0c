// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// documents reads every document of a YAML or JSON file. A duplicate
// key is refused, since programs differ in which one they use.
func documents(data []byte) ([]*yaml.Node, error) {
	all, err := strictyaml.Documents(data)
	if err != nil {
		return nil, err
	}
	for _, root := range all {
		if err := unique(root, 0); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func unique(n *yaml.Node, depth int) error {
	if depth > 100 {
		return errors.New("it is nested too deep")
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return fmt.Errorf("line %d has an anchor or an alias, which are not supported", n.Line)
	}
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if seen[child.Value] || child.Tag == "!!merge" || child.Tag == "!!binary" {
				return fmt.Errorf("line %d has a key for the second time, a merge, or an encoded key", child.Line)
			}
			seen[child.Value] = true
		}
		if err := unique(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// get is the value at a path of keys, or an empty node.
func get(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		var found *yaml.Node
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					found = n.Content[i+1]
				}
			}
		}
		if found == nil {
			return &yaml.Node{}
		}
		n = found
	}
	return n
}

// items are the entries of a list.
func items(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// is returns whether a node holds something other than null.
func is(n *yaml.Node) bool { return n.Kind != 0 && n.Tag != "!!null" }

// walk calls see with every key and value in a tree.
func walk(n *yaml.Node, see func(key string, value *yaml.Node)) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			see(n.Content[i-1].Value, child)
		}
		walk(child, see)
	}
}
