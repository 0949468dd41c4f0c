// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// PluginName marks a manifest as a source of an Ansible inventory.
const PluginName = "arcodange.sandbox.boundary"

// Manifest says what is production and what is sandbox.
type Manifest struct {
	File       string
	Production Side
	Sandbox    Side
}

// Side is one of the two sides of the boundary.
type Side struct {
	Addresses []AddressRule
	Names     []NameRule
}

// Rule is a line of the manifest, so that a decision can point at it.
type Rule struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"` // section and entry, as in "production.addresses: 192.0.2.1"
}

// String is file:line: text.
func (r Rule) String() string { return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text) }

// AddressRule is a range of addresses and where it stands.
type AddressRule struct {
	Range
	Rule Rule
}

// NameRule is a host name, or a pattern in which * stands for any part of a name, and where it stands.
type NameRule struct {
	Pattern string // lower case, without trailing dot
	Rule    Rule
}

// Matches tells whether the rule covers a canonical name.
func (r NameRule) Matches(name string) bool {
	ok, err := path.Match(r.Pattern, name) // a name has no slash, so * covers dots as well
	return err == nil && ok
}

// Load reads the manifest in file. Whatever it does not understand is an
// error that gives file, line and column: a manifest half read is no boundary.
func Load(file string) (*Manifest, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w; name the one of your sandbox's inventory", err)
	}
	m, err := parse(file, data)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w", err)
	}
	return m, nil
}

func parse(file string, data []byte) (*Manifest, error) {
	p := parser{file: file}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1:1: it is empty; list production and sandbox", file)
		}
		return nil, fmt.Errorf("%s:%w", file, yamlError(err))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return nil, p.at(&second, "a second YAML document begins here; keep one")
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%w", file, yamlError(err))
	}
	root := document.Content[0]
	m := &Manifest{File: file}
	err := p.mapping(root, map[string]func(*yaml.Node) error{
		"plugin": func(n *yaml.Node) error {
			if n.Value != PluginName {
				return p.at(n, "plugin must be %s, not %q", PluginName, n.Value)
			}
			return nil
		},
		"production": func(n *yaml.Node) error { return p.side(n, "production", &m.Production) },
		"sandbox":    func(n *yaml.Node) error { return p.side(n, "sandbox", &m.Sandbox) },
	})
	if err != nil {
		return nil, err
	}
	if len(m.Sandbox.Addresses) == 0 {
		return nil, p.at(root, "sandbox.addresses is empty, so nothing would be allowed; list the sandbox's addresses")
	}
	if len(m.Production.Addresses)+len(m.Production.Names) == 0 {
		return nil, p.at(root, "production is empty; list what must never be reached")
	}
	return m, m.overlap()
}

// overlap refuses a manifest that calls the same thing production and sandbox.
func (m *Manifest) overlap() error {
	for _, production := range m.Production.Addresses {
		for _, sandbox := range m.Sandbox.Addresses {
			if production.Overlaps(sandbox.Range) {
				return fmt.Errorf("%s: overlaps with line %d (%s); an address is one or the other", sandbox.Rule, production.Rule.Line, production.Rule.Text)
			}
		}
	}
	for _, production := range m.Production.Names {
		for _, sandbox := range m.Sandbox.Names {
			if meet(production.Pattern, sandbox.Pattern) {
				return fmt.Errorf("%s: overlaps with line %d (%s); a name is one or the other", sandbox.Rule, production.Rule.Line, production.Rule.Text)
			}
		}
	}
	return nil
}

// meet tells whether some name matches both patterns.
func meet(a, b string) bool {
	// reach[j] says that the part of a read so far and b[:j] match a common name.
	reach := make([]bool, len(b)+1)
	reach[0] = true
	for j := 0; j < len(b) && b[j] == '*'; j++ {
		reach[j+1] = true
	}
	for i := range len(a) {
		next := make([]bool, len(b)+1)
		next[0] = a[i] == '*' && reach[0]
		for j := range len(b) {
			switch {
			case a[i] == '*' || b[j] == '*': // a star takes the other's letter, or nothing
				next[j+1] = next[j] || reach[j+1]
			default:
				next[j+1] = a[i] == b[j] && reach[j]
			}
		}
		reach = next
	}
	return reach[len(b)]
}

type parser struct{ file string }

func (p parser) at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %s", p.file, n.Line, n.Column, fmt.Sprintf(format, args...))
}

// mapping hands every value of a mapping to the reader of its key, and refuses unknown and repeated keys.
func (p parser) mapping(n *yaml.Node, keys map[string]func(*yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return p.at(n, "a mapping is needed here")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read, known := keys[key.Value]
		if !known || key.Kind != yaml.ScalarNode {
			return p.at(key, "unknown key %q", key.Value)
		}
		if seen[key.Value] {
			return p.at(key, "the key %q stands here twice", key.Value)
		}
		seen[key.Value] = true
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

func (p parser) list(n *yaml.Node, each func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return p.at(n, "a list is needed here")
	}
	for _, entry := range n.Content {
		if entry.Kind != yaml.ScalarNode || entry.Tag != "!!str" {
			return p.at(entry, "an entry must be a string; put it in quotes")
		}
		if err := each(entry); err != nil {
			return err
		}
	}
	return nil
}

func (p parser) side(n *yaml.Node, name string, side *Side) error {
	rule := func(n *yaml.Node, list string) Rule {
		return Rule{File: p.file, Line: n.Line, Text: name + "." + list + ": " + n.Value}
	}
	return p.mapping(n, map[string]func(*yaml.Node) error{
		"addresses": func(n *yaml.Node) error {
			return p.list(n, func(n *yaml.Node) error {
				r, err := ParseRange(n.Value)
				if err != nil {
					return p.at(n, "%v", err)
				}
				side.Addresses = append(side.Addresses, AddressRule{r, rule(n, "addresses")})
				return nil
			})
		},
		"names": func(n *yaml.Node) error {
			return p.list(n, func(n *yaml.Node) error {
				pattern := strings.TrimSuffix(strings.ToLower(n.Value), ".")
				if !namePattern.MatchString(pattern) {
					return p.at(n, "%q is not a host name, nor a pattern with * in it", n.Value)
				}
				side.Names = append(side.Names, NameRule{pattern, rule(n, "names")})
				return nil
			})
		},
	})
}

var namePattern = regexp.MustCompile(`^[a-z0-9*]([a-z0-9*_-]*[a-z0-9*])?(\.[a-z0-9*]([a-z0-9*_-]*[a-z0-9*])?)*$`)

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// yamlError writes yaml.v3's message in the form of a compiler's. yaml.v3 gives no column for a syntax error: column 1 stands for it.
func yamlError(err error) error {
	text := err.Error()
	if match := yamlLine.FindStringSubmatch(text); match != nil {
		return fmt.Errorf("%s:1: %s", match[1], text[len(match[0]):])
	}
	return fmt.Errorf("1:1: %s", strings.TrimPrefix(text, "yaml: "))
}
