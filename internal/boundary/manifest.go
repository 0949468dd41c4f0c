// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/limitedread"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// PluginName marks a manifest as a source of an Ansible inventory.
const PluginName = "arcodange.sandbox.boundary"

// Manifest lists what is production and what is sandbox.
type Manifest struct {
	File       string
	Production Side
	Sandbox    Side
	Policy     Policy
}

// Side is one of the two sides of the boundary.
type Side struct {
	Addresses     []AddressRule
	Names         []PatternRule // host names
	Endpoints     []EndpointRule
	HostKeys      []PatternRule // SHA256:...
	MachineIDs    []PatternRule
	Hostnames     []PatternRule
	Kube          []KubeRule
	Vaults        []EndpointRule
	KeyFiles      []PatternRule // absolute paths
	Git           []PatternRule // host/path, or an absolute path
	TofuState     []PatternRule // backend:location
	TofuProviders []PatternRule // types
	DNSZones      []PatternRule // names
	DNSZoneIDs    []PatternRule
	Databases     []EndpointRule
	Environment   []PatternRule // names of variables
	// Outside is what machines of the sandbox may reach beside the sandbox. Only
	// under sandbox; it allows the controller nothing.
	Outside []EndpointRule
}

// Policy is what an override requires beyond i_mean_prod. This package only reads
// it; internal/guard/override enforces it.
type Policy struct {
	ClusterName string        // has to be typed; empty if not required
	TokenExpiry time.Duration // validity of a token; zero if none is required
	Evidence    string        // path of the grant; empty if none is required
	Promotion   string        // path of the promotion policy; empty for the repository's own
}

// Rule is an entry of the manifest, so that a decision can point at it.
type Rule struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"` // section and entry, as in "production.addresses: 192.0.2.1"
}

// String is file:line: text.
func (r Rule) String() string { return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text) }

// AddressRule is a range of addresses and its position.
type AddressRule struct {
	Range
	Rule Rule
}

// PatternRule is a text in which * matches any number of characters, and its position.
type PatternRule struct {
	Pattern string // canonical for its list
	Rule    Rule
}

// matches returns whether the rule covers a canonical text.
func (r PatternRule) matches(text string) bool { return glob(r.Pattern, text) }

// EndpointRule is a host (by name or by address), a port, and its position.
type EndpointRule struct {
	Name  string // pattern; empty if Range is set
	Range Range
	Port  uint16 // 0 means all ports
	Rule  Rule
}

// KubeRule is a cluster, by any of its identifiers, and its position.
type KubeRule struct {
	Server     *EndpointRule // nil if not given
	CASHA256   string        // hexadecimal; empty if not given
	ClusterUID string        // empty if not given
	Rule       Rule
}

// glob returns whether pattern matches text; * matches any number of characters.
func glob(pattern, text string) bool {
	star, mark, at := -1, 0, 0
	i := 0
	for i < len(text) {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, mark = at, i
			at++
		case at < len(pattern) && pattern[at] == text[i]:
			at++
			i++
		case star >= 0:
			mark++
			at, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[at:], "*") == ""
}

// meet returns whether some text matches both patterns.
func meet(a, b string) bool {
	// Fast path: most patterns differ before the first star or after the last.
	for i := 0; i < min(len(a), len(b)) && a[i] != '*' && b[i] != '*'; i++ {
		if a[i] != b[i] {
			return false
		}
	}
	for i := 1; i <= min(len(a), len(b)) && a[len(a)-i] != '*' && b[len(b)-i] != '*'; i++ {
		if a[len(a)-i] != b[len(b)-i] {
			return false
		}
	}
	// reach[j]: the prefix of a read so far and b[:j] match a common text.
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
			case a[i] == '*' || b[j] == '*': // a star matches the other's character, or nothing
				next[j+1] = next[j] || reach[j+1]
			default:
				next[j+1] = a[i] == b[j] && reach[j]
			}
		}
		reach = next
	}
	return reach[len(b)]
}

// Load reads the manifest in file. Anything unknown is an error with file, line
// and column.
func Load(file string) (*Manifest, error) {
	data, err := limitedread.File(file, limitedread.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w; name the one of your sandbox's inventory", err)
	}
	return Parse(file, data)
}

// Parse parses a manifest; file is its name in messages.
func Parse(file string, data []byte) (*Manifest, error) {
	m, err := parse(file, data)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w", err)
	}
	return m, nil
}

func parse(file string, data []byte) (*Manifest, error) {
	if len(data) > limitedread.MaxManifest {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, limitedread.MaxManifest)
	}
	p := parser{strictyaml.File(file)}
	root, err := p.Document(data)
	if err != nil {
		return nil, err
	}
	m := &Manifest{File: file}
	err = p.Mapping(root, nil, strictyaml.Keys{
		"plugin": func(n *yaml.Node) error {
			if n.Value != PluginName {
				return p.At(n, "plugin must be %s, not %q", PluginName, n.Value)
			}
			return nil
		},
		"production": func(n *yaml.Node) error { return p.side(n, "production", &m.Production) },
		"sandbox":    func(n *yaml.Node) error { return p.side(n, "sandbox", &m.Sandbox) },
		"policy":     func(n *yaml.Node) error { return p.policy(n, &m.Policy) },
	})
	if err != nil {
		return nil, err
	}
	if len(m.Sandbox.Addresses) == 0 {
		return nil, p.At(root, "sandbox.addresses: empty, so nothing would be allowed; list the sandbox's addresses")
	}
	if m.Production.rules() == 0 {
		return nil, p.At(root, "production: empty; list what must never be reached")
	}
	return m, m.overlap()
}

// overlap returns an error if production and sandbox list the same thing.
func (m *Manifest) overlap() error {
	both := func(sandbox, production Rule, what string) error {
		return fmt.Errorf("%s:%d:%d: %s: overlaps with line %d (%s); %s is one or the other",
			sandbox.File, sandbox.Line, sandbox.Column, sandbox.Text, production.Line, production.Text, what)
	}
	for _, sandbox := range m.Sandbox.Addresses {
		for _, production := range m.Production.Addresses {
			if production.overlaps(sandbox.Range) {
				return both(sandbox.Rule, production.Rule, "an address")
			}
		}
	}
	// An endpoint is compared with the other side's endpoints, and its host with the other side's hosts.
	for sandbox := range m.Sandbox.endpointRules() {
		for production := range m.Production.endpointRules() {
			if sandbox.overlaps(*production) {
				return both(sandbox.Rule, production.Rule, "an endpoint")
			}
		}
		for _, production := range m.Production.Addresses {
			if sandbox.Name == "" && production.overlaps(sandbox.Range) {
				return both(sandbox.Rule, production.Rule, "an address")
			}
		}
		for _, production := range m.Production.Names {
			if sandbox.Name != "" && meet(sandbox.Name, production.Pattern) {
				return both(sandbox.Rule, production.Rule, "a name")
			}
		}
	}
	mine, theirs := m.Sandbox.patterns(), m.Production.patterns()
	for i, list := range mine {
		for _, sandbox := range list.rules {
			for _, production := range theirs[i].rules {
				if meet(sandbox.Pattern, production.Pattern) {
					return both(sandbox.Rule, production.Rule, list.what)
				}
				if list.what == "a zone" && (meet("*."+sandbox.Pattern, production.Pattern) || meet(sandbox.Pattern, "*."+production.Pattern)) {
					return both(sandbox.Rule, production.Rule, list.what)
				}
			}
		}
	}
	for _, sandbox := range m.Sandbox.Kube {
		for _, production := range m.Production.Kube {
			if sandbox.CASHA256 != "" && sandbox.CASHA256 == production.CASHA256 || sandbox.ClusterUID != "" && sandbox.ClusterUID == production.ClusterUID {
				return both(sandbox.Rule, production.Rule, "a cluster")
			}
		}
	}
	return nil
}

type patternList struct {
	what  string
	rules []PatternRule
}

func (s *Side) patterns() []patternList {
	return []patternList{
		{"a name", s.Names}, {"a host key", s.HostKeys}, {"a machine", s.MachineIDs}, {"a machine", s.Hostnames}, {"a key file", s.KeyFiles},
		{"a repository", s.Git}, {"a state", s.TofuState}, {"a provider", s.TofuProviders}, {"a zone", s.DNSZones}, {"a zone", s.DNSZoneIDs}, {"a variable", s.Environment},
	}
}

// endpointRules yields the entries of all lists that have a host and a port.
func (s *Side) endpointRules() iter.Seq[*EndpointRule] {
	return func(yield func(*EndpointRule) bool) {
		for _, list := range [][]EndpointRule{s.Endpoints, s.Vaults, s.Databases} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
		for _, rule := range s.Kube {
			if rule.Server != nil && !yield(rule.Server) {
				return
			}
		}
	}
}

func (s *Side) rules() int {
	count := len(s.Addresses) + len(s.Endpoints) + len(s.Vaults) + len(s.Databases) + len(s.Kube)
	for _, list := range s.patterns() {
		count += len(list.rules)
	}
	return count
}

func (r EndpointRule) overlaps(o EndpointRule) bool {
	if r.Port != 0 && o.Port != 0 && r.Port != o.Port || (r.Name == "") != (o.Name == "") {
		return false
	}
	if r.Name != "" {
		return meet(r.Name, o.Name)
	}
	return r.Range.overlaps(o.Range)
}
