// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// maxNodes is the maximal number of nodes of a document with its aliases expanded,
// against exponential growth.
const maxNodes = 200_000

// documents reads all documents of a YAML or JSON file. Ambiguous YAML is an
// error, and so is a file that is not a manifest, such as a
// vault or a git-lfs pointer.
func documents(data []byte) ([]*yaml.Node, error) {
	if !bytes.ContainsFunc(data, func(r rune) bool { return r > ' ' }) {
		return nil, nil
	}
	roots, err := strictyaml.Documents(data)
	if err != nil {
		return nil, err
	}
	var all []*yaml.Node
	for _, root := range roots {
		budget := maxNodes
		if err := sane(root, 0, &budget); err != nil {
			return nil, err
		}
		switch {
		case root.Kind == yaml.MappingNode || root.Kind == yaml.SequenceNode:
			all = append(all, root)
		case root.Tag != "!!null":
			return nil, fmt.Errorf("line %d is a text and no manifest", root.Line)
		}
	}
	return all, nil
}

// sane refuses a duplicate key, since programs differ in the one that they use,
// and excessive nesting or aliases.
func sane(n *yaml.Node, depth int, budget *int) error {
	if depth > 100 {
		return errors.New("it is nested too deep")
	}
	if *budget--; *budget < 0 {
		return errors.New("it has too many parts")
	}
	if n.Kind == yaml.AliasNode {
		return sane(n.Alias, depth+1, budget)
	}
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode {
			if seen[child.Value] {
				return fmt.Errorf("line %d has a key for the second time", child.Line)
			}
			seen[child.Value] = true
		}
		if err := sane(child, depth+1, budget); err != nil {
			return err
		}
	}
	return nil
}

// get returns the value at a path of keys, or an empty node. It follows aliases and merges.
func get(n *yaml.Node, keys ...string) *yaml.Node {
	n = real(n)
	for _, key := range keys {
		n = real(lookup(n, key))
	}
	return n
}

func real(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func lookup(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return &yaml.Node{}
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch name := n.Content[i]; {
		case name.Kind == yaml.ScalarNode && name.Value == key:
			return n.Content[i+1]
		case name.Tag == "!!merge":
			merged = append(merged, real(n.Content[i+1]))
		}
	}
	for _, from := range merged {
		sources := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			sources = from.Content
		}
		for _, source := range sources {
			if found := lookup(real(source), key); found.Kind != 0 {
				return found
			}
		}
	}
	return &yaml.Node{}
}

// items returns the entries of a list.
func items(n *yaml.Node) []*yaml.Node {
	if n = real(n); n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// pair is a key of a mapping and its value.
type pair struct {
	Key   *yaml.Node
	Value *yaml.Node
}

func pairs(n *yaml.Node) []pair {
	if n = real(n); n.Kind != yaml.MappingNode {
		return nil
	}
	var out []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, pair{n.Content[i], n.Content[i+1]})
	}
	return out
}

// is reports whether a node is not null.
func is(n *yaml.Node) bool { return n.Kind != 0 && n.Tag != "!!null" }

// plain returns the text of a scalar. Anything else, and a text with unfilled
// variables, is an error with the line.
func plain(n *yaml.Node, what string) (string, error) {
	switch {
	case n.Kind == 0 || n.Tag == "!!null":
		return "", fmt.Errorf("%s is missing", what)
	case n.Kind != yaml.ScalarNode || unfilled(n.Value):
		return "", fmt.Errorf("line %d: %s is left to a template", n.Line, what)
	case n.Tag == "!vault" || strings.HasPrefix(n.Value, "ENC["):
		return "", fmt.Errorf("line %d: %s is encrypted", n.Line, what)
	}
	return n.Value, nil
}

// optional is plain, with an empty string for a missing node.
func optional(n *yaml.Node, what string) (string, error) {
	if !is(n) {
		return "", nil
	}
	return plain(n, what)
}
